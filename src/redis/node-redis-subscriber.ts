import type { SubscriberConnection, SubscriberEvents } from "./client.js";

type Listener = (message: string, channel: string) => void;

/** What subscribes: a client or a sentinel of node-redis. */
export interface RawSubscriber {
  subscribe(channel: string, listener: Listener): Promise<unknown>;
  unsubscribe(channel: string, listener: Listener): Promise<unknown>;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  off(event: string, listener: (...args: unknown[]) => void): unknown;
}

/** A client of one server that can be duplicated. */
export interface RawNode extends RawSubscriber {
  readonly isOpen: boolean;
  readonly options?: { socket?: object };
  duplicate(overrides: object): RawNode;
  connect(): Promise<unknown>;
  ping(): Promise<unknown>;
  destroy(): unknown;
  sSubscribe(channel: string, listener: Listener): Promise<unknown>;
  sUnsubscribe(channel: string, listener: Listener): Promise<unknown>;
}

/**
 * Opens a connection that only subscribes, beside a client of one server.
 * @param isSharded whether it is a node of a Cluster
 */
export async function openNodeSubscriber(
  node: RawNode,
  isSharded: boolean,
  prefix: string,
  events: SubscriberEvents,
): Promise<SubscriberConnection> {
  const connection = new NodeSubscriber(node, isSharded, prefix, events);
  await connection.connect();
  return connection;
}

class NodeSubscriber implements SubscriberConnection {
  readonly #raw: RawNode;
  readonly #prefix: string;
  readonly #events: SubscriberEvents;
  /** Whether a Cluster has announcements on the node of the channel only. A Cluster of Redis 6 has not. */
  #isSharded: boolean;

  constructor(node: RawNode, isSharded: boolean, prefix: string, events: SubscriberEvents) {
    this.#isSharded = isSharded;
    this.#prefix = prefix;
    this.#events = events;
    // `Subscriber` opens another connection, and asks a Cluster again for the node.
    this.#raw = node.duplicate({ socket: { ...node.options?.socket, reconnectStrategy: false } });
  }

  async connect(): Promise<void> {
    // "error" is emitted when the connection is lost, and "sharded-channel-moved" when the channel's slot has moved.
    for (const event of ["error", "end", "sharded-channel-moved"]) this.#raw.on(event, this.#events.onLost);
    try {
      await this.#raw.connect();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async subscribe(channel: string): Promise<void> {
    const name = this.#prefix + channel;
    if (this.#isSharded) {
      try {
        await this.#raw.sSubscribe(name, this.#onMessage);
        return;
      } catch (error) {
        if (!/unknown command/i.test((error as Error).message)) throw error;
        this.#isSharded = false;
      }
    }
    await this.#raw.subscribe(name, this.#onMessage);
  }

  async unsubscribe(channel: string): Promise<void> {
    const name = this.#prefix + channel;
    if (this.#isSharded) await this.#raw.sUnsubscribe(name, this.#onMessage);
    else await this.#raw.unsubscribe(name, this.#onMessage);
  }

  ping(): Promise<unknown> {
    return this.#raw.ping();
  }

  close(): void {
    if (this.#raw.isOpen) this.#raw.destroy();
  }

  readonly #onMessage = (message: string, name: string): void => {
    this.#events.onMessage(name.slice(this.#prefix.length), message);
  };
}

/**
 * The subscriptions of a sentinel. It has a connection of its own for them, which it opens again after a failover. It does not tell
 * which connection an error concerns, so each error counts as a loss.
 */
export class SentinelSubscriber implements SubscriberConnection {
  readonly #raw: RawSubscriber;
  readonly #prefix: string;
  readonly #events: SubscriberEvents;
  readonly #names = new Set<string>();
  readonly #heartbeat: string;
  #isClosed = false;

  /** @param channel any channel of the connection */
  constructor(raw: RawSubscriber, prefix: string, channel: string, events: SubscriberEvents) {
    this.#raw = raw;
    this.#prefix = prefix;
    this.#events = events;
    this.#heartbeat = `${prefix}${channel}:heartbeat`;
    for (const event of LOSSES) raw.on(event, events.onLost);
  }

  subscribe(channel: string): Promise<unknown> {
    const name = this.#prefix + channel;
    this.#names.add(name);
    return this.#raw.subscribe(name, this.#onMessage);
  }

  unsubscribe(channel: string): Promise<unknown> {
    const name = this.#prefix + channel;
    this.#names.delete(name);
    return this.#raw.unsubscribe(name, this.#onMessage);
  }

  /** The sentinel has no method that sends PING on this connection. */
  async ping(): Promise<void> {
    await this.#raw.subscribe(this.#heartbeat, this.#onMessage);
    await this.#raw.unsubscribe(this.#heartbeat, this.#onMessage);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const event of LOSSES) this.#raw.off(event, this.#events.onLost);
    for (const name of this.#names) this.#raw.unsubscribe(name, this.#onMessage).catch(() => {});
  }

  readonly #onMessage = (message: string, name: string): void => {
    if (!this.#isClosed) this.#events.onMessage(name.slice(this.#prefix.length), message);
  };
}

const LOSSES = ["error", "end", "topology-change"];

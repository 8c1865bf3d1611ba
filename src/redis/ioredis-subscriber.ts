import type { Cluster, Redis } from "ioredis";
import type { SubscriberConnection, SubscriberEvents } from "./client.js";

/**
 * Opens a connection that only subscribes, beside a client of ioredis or iovalkey.
 * @param prefix the key prefix of the client
 * @param channel without that prefix
 */
export async function openIoredisSubscriber(
  redis: Redis | Cluster,
  prefix: string,
  channel: string,
  events: SubscriberEvents,
): Promise<SubscriberConnection> {
  const node = redis.isCluster ? await nodeOf(redis as Cluster, prefix + channel) : (redis as Redis);
  const connection = new IoredisSubscriber(node, redis.isCluster, prefix, events);
  await connection.connect();
  return connection;
}

/** Returns the client of the master that serves the slot of a key. The others answer with a redirection. */
async function nodeOf(cluster: Cluster, key: string): Promise<Redis> {
  let failure: unknown;
  for (const node of cluster.nodes("master")) {
    try {
      await node.exists(key);
      return node;
    } catch (error) {
      failure = error;
    }
  }
  throw failure ?? new Error("The Cluster has no connected master");
}

class IoredisSubscriber implements SubscriberConnection {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #events: SubscriberEvents;
  /** Whether a Cluster has announcements on the node of the channel only. A Cluster of Redis 6 has not. */
  #isSharded: boolean;
  /** The channel of the last subscription. On a Cluster a connection has one. */
  #channel: string | undefined;

  constructor(node: Redis, isSharded: boolean, prefix: string, events: SubscriberEvents) {
    this.#isSharded = isSharded;
    this.#prefix = prefix;
    this.#events = events;
    this.#redis = node.duplicate({
      lazyConnect: true,
      // `Subscriber` opens another connection, and asks a Cluster again for the node.
      retryStrategy: () => null,
      autoResubscribe: false,
      // ioredis would add it to the channels of some commands.
      keyPrefix: "",
      enableOfflineQueue: true,
    });
  }

  async connect(): Promise<void> {
    const redis = this.#redis;
    redis.on("error", () => {});
    redis.on("close", this.#events.onLost);
    // The slot of the channel has moved to another node of the Cluster.
    redis.on("moved", this.#events.onLost);
    for (const event of ["message", "smessage"]) redis.on(event, this.#onMessage);
    try {
      await redis.connect();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async subscribe(channel: string): Promise<void> {
    this.#channel = channel;
    const name = this.#prefix + channel;
    if (this.#isSharded) {
      try {
        await this.#redis.ssubscribe(name);
        return;
      } catch (error) {
        if (!/unknown command/i.test((error as Error).message)) throw error;
        this.#isSharded = false;
      }
    }
    await this.#redis.subscribe(name);
  }

  async unsubscribe(channel: string): Promise<void> {
    const name = this.#prefix + channel;
    if (this.#isSharded) await this.#redis.sunsubscribe(name);
    else await this.#redis.unsubscribe(name);
  }

  /** ioredis 5 and iovalkey do not tell when a channel has moved. To subscribe again then fails. */
  async ping(): Promise<void> {
    if (this.#isSharded && this.#channel !== undefined) await this.subscribe(this.#channel);
    else await this.#redis.ping();
  }

  close(): void {
    // See IoredisClient.disconnect().
    this.#redis.stream?.on("error", () => {});
    this.#redis.disconnect();
  }

  readonly #onMessage = (name: string, message: string): void => {
    this.#events.onMessage(name.slice(this.#prefix.length), message);
  };
}

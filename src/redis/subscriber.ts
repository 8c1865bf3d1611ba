import { endOfRound } from "../util/real-timers.js";
import { warnOnce } from "../util/warn-once.js";
import type { RedisClient, SubscriberConnection } from "./client.js";
import { isReply } from "./gate.js";

/** What hears a channel. The functions must not throw. */
export interface ChannelListener {
  /** Called for each message, in the order of Redis. */
  onMessage(message: string): void;
  /** Called when the subscription is established: from now on no message is missed, until it is lost. */
  onEstablished?(): void;
  /** Called when the subscription is lost. Messages may be missed until it is established again. */
  onLost?(): void;
}

export interface Subscription {
  /**
   * 0 while the subscription is not established. Each time when it is established, it gets a number that no subscription of this
   * process has had. If the number is the same before and after some work, no message was missed meanwhile.
   */
  readonly epoch: number;
  /** Ends the subscription. The listener is not called any more. */
  close(): void;
}

/** How long to wait before a lost connection is opened again: it doubles with each attempt, up to MAX_PAUSE; ms. */
const FIRST_PAUSE = 50;
const MAX_PAUSE = 1000;

/** How often to ask for a sign of life, ms. A connection that has not answered by the next time is lost. */
const HEARTBEAT = 1000;

let lastEpoch = 0;

/**
 * Subscribes to channels for one engine. Its connection is opened for the first subscription and closed after the last one. On a
 * Cluster there is one connection for each channel, because Redis announces the changes of an app on the node of the app only.
 * A connection that is lost, or silent, is opened again until it works.
 */
export class Subscriber {
  readonly #client: RedisClient;
  /** By channel on a Cluster, otherwise one. */
  readonly #links = new Map<string, Link>();
  #isClosed = false;

  constructor(client: RedisClient) {
    this.#client = client;
  }

  /** Subscribes to a channel. The subscription is established later, see `onEstablished`. */
  subscribe(channel: string, listener: ChannelListener): Subscription {
    if (this.#isClosed) return { epoch: 0, close: () => {} };
    const name = this.#client.isCluster ? channel : "";
    let link = this.#links.get(name);
    if (link === undefined) {
      link = new Link(this.#client, () => this.#links.delete(name));
      this.#links.set(name, link);
    }
    return link.add(channel, listener);
  }

  /** Closes the connections, and ends all subscriptions. */
  close(): void {
    this.#isClosed = true;
    for (const link of [...this.#links.values()]) link.close();
  }
}

/** The subscriptions of one channel. */
interface Channel {
  epoch: number;
  /** Each subscription has an object of its own, because a listener may be passed twice. */
  readonly subscribed: Set<{ readonly listener: ChannelListener }>;
}

/** A connection that is opened again and again as long as it has channels. */
class Link {
  readonly #client: RedisClient;
  readonly #onEnd: () => void;
  readonly #channels = new Map<string, Channel>();
  /** Identifies the present connection, also while it is being opened. Undefined while the link waits for the next attempt. */
  #attempt: object | undefined;
  #connection: SubscriberConnection | undefined;
  #pause = FIRST_PAUSE;
  #timer: NodeJS.Timeout | undefined;

  /** @param onEnd is called when the link has no channel any more */
  constructor(client: RedisClient, onEnd: () => void) {
    this.#client = client;
    this.#onEnd = onEnd;
  }

  add(name: string, listener: ChannelListener): Subscription {
    const known = this.#channels.get(name);
    const channel = known ?? { epoch: 0, subscribed: new Set() };
    const own = { listener };
    channel.subscribed.add(own);
    if (known === undefined) {
      this.#channels.set(name, channel);
      if (this.#connection !== undefined) this.#establish(name, channel, this.#connection);
      else if (this.#attempt === undefined && this.#timer === undefined) void this.#open(name);
    } else if (channel.epoch > 0) listener.onEstablished?.();
    return {
      get epoch() {
        return channel.subscribed.has(own) ? channel.epoch : 0;
      },
      close: () => {
        if (!channel.subscribed.delete(own) || channel.subscribed.size > 0) return;
        if (this.#channels.get(name) === channel) this.#remove(name);
      },
    };
  }

  close(): void {
    this.#attempt = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#connection?.close();
    this.#connection = undefined;
    this.#tellLost();
    this.#channels.clear();
    this.#onEnd();
  }

  #remove(name: string): void {
    this.#channels.delete(name);
    if (this.#channels.size === 0) this.close();
    else this.#connection?.unsubscribe(name).catch(() => {});
  }

  /** @param channel any of the channels; on a Cluster there is only one */
  async #open(channel: string): Promise<void> {
    const attempt = {};
    this.#attempt = attempt;
    try {
      const connection = await this.#client.openSubscriber(channel, {
        onMessage: (name, message) => {
          if (this.#attempt !== attempt) return;
          for (const { listener } of [...(this.#channels.get(name)?.subscribed ?? [])]) listener.onMessage(message);
        },
        onLost: () => {
          if (this.#attempt === attempt) this.#lost();
        },
      });
      if (this.#attempt !== attempt) {
        connection.close();
        return;
      }
      this.#connection = connection;
      for (const [name, subscribed] of this.#channels) this.#establish(name, subscribed, connection);
      this.#beat(connection);
    } catch (error) {
      if (this.#attempt === attempt) this.#lost(error);
    }
  }

  #establish(name: string, channel: Channel, connection: SubscriberConnection): void {
    connection.subscribe(name).then(
      () => {
        if (this.#connection !== connection || this.#channels.get(name) !== channel) return;
        this.#pause = FIRST_PAUSE;
        channel.epoch = ++lastEpoch;
        for (const { listener } of [...channel.subscribed]) listener.onEstablished?.();
      },
      (error) => {
        if (this.#connection === connection) this.#lost(error);
      },
    );
  }

  #beat(connection: SubscriberConnection): void {
    let isAnswered = false;
    connection.ping().then(
      () => {
        isAnswered = true;
      },
      () => {},
    );
    this.#timer = setTimeout(async () => {
      // After a stall of the event loop the timer comes first, and the answer is read in this round.
      await endOfRound();
      if (this.#connection !== connection) return;
      if (isAnswered) this.#beat(connection);
      else this.#lost();
    }, HEARTBEAT);
    this.#timer.unref();
  }

  #lost(error?: unknown): void {
    clearTimeout(this.#timer);
    this.#attempt = undefined;
    this.#connection?.close();
    this.#connection = undefined;
    if (isReply(error)) {
      warnOnce(
        this.#client,
        "NO_SUBSCRIPTION",
        `Redis refuses a subscription: ${(error as Error).message}. Events are not heard and nothing is cached. The rights are ` +
          "listed in docs/production.md#rights-acl",
      );
    }
    this.#tellLost();
    const [next] = this.#channels.keys();
    if (next === undefined) return;
    const pause = this.#pause;
    this.#pause = Math.min(2 * pause, MAX_PAUSE);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const [channel] = this.#channels.keys();
      if (channel !== undefined) void this.#open(channel);
    }, pause);
    this.#timer.unref();
  }

  #tellLost(): void {
    for (const channel of this.#channels.values()) {
      if (channel.epoch === 0) continue;
      channel.epoch = 0;
      for (const { listener } of [...channel.subscribed]) listener.onLost?.();
    }
  }
}

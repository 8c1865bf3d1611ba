import { quote, SessionError } from "../errors.js";
import type { Connection } from "../redis/connection.js";
import { CHUNK } from "../redis/operation.js";
import { BoundedMap } from "../util/bounded-map.js";
import { appsKey, Keys, LAYOUT, layoutKey } from "./keys.js";

/** After this time in ms an app is registered again, in case Redis has lost its keys. */
const REGISTRATION_TTL = 60_000;

/** An app without sessions stays registered for this time in ms, which is more than the servers' clocks differ. */
const EMPTY_APP_TTL = 86_400_000;

/** An app, as the wiper uses it. */
interface WipedApp {
  /** Removes the index entries of expired sessions. Returns the number of these sessions. */
  wipe(): Promise<number>;
  /** Removes the app from the list of apps if it has no session and was last registered before `before` (ms). */
  retire(before: number): Promise<void>;
}

/** Visits every app from time to time and removes the index entries of expired sessions. */
export class Wiper {
  readonly #connection: Connection;
  readonly #namespace: string;
  readonly #appsKey: string;
  readonly #appOf: (name: string) => WipedApp;
  /** When this process registered each app, as performance.now() counts. A missing entry only costs one more command. */
  readonly #registered = new BoundedMap<number>();
  readonly #registering = new Map<string, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(connection: Connection, namespace: string, appOf: (name: string) => WipedApp) {
    this.#connection = connection;
    this.#namespace = namespace;
    this.#appsKey = appsKey(namespace);
    this.#appOf = appOf;
  }

  /** Registers an app for the wipers of all servers. Returns undefined if this process did so in the last minute. */
  register(app: string): Promise<void> | undefined {
    const since = this.#registered.get(app);
    if (since !== undefined && performance.now() - since < REGISTRATION_TTL) return undefined;
    let registering = this.#registering.get(app);
    if (registering === undefined) {
      registering = this.#add(app).finally(() => this.#registering.delete(app));
      this.#registering.set(app, registering);
    }
    return registering;
  }

  /** Wipes all apps. If the keys of one app are damaged, the others are wiped before the error is thrown. */
  async wipe(): Promise<number> {
    const before = Date.now() - EMPTY_APP_TTL;
    let wiped = 0;
    let failure: unknown;
    for await (const [name, registered] of this.apps()) {
      const app = this.#appOf(name);
      try {
        wiped += await app.wipe();
        if (registered < before) await app.retire(before);
      } catch (error) {
        if ((error as SessionError).name !== "redisError") throw error;
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
    return wiped;
  }

  /** Reads one key of each app. In a Cluster, the apps are on several nodes. */
  async reachApps(): Promise<void> {
    const deadline = this.#connection.deadline();
    let page: Promise<unknown>[] = [];
    for await (const [name] of this.apps()) {
      page.push(this.#connection.command((client) => client.exists(new Keys(this.#namespace, name).active), deadline));
      if (page.length < CHUNK) continue;
      await Promise.all(page);
      page = [];
    }
    await Promise.all(page);
  }

  /** Wipes at this interval in seconds. The first time is random, so that servers that start together do not all wipe at once. */
  start(seconds: number): void {
    const round = () => {
      this.#timer = setTimeout(round, seconds * 1000).unref();
      // The application's own calls report an outage of Redis. The next round wipes what this one missed.
      this.wipe().catch(() => {});
    };
    this.#timer = setTimeout(round, Math.random() * seconds * 1000).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Yields the registered apps and the time of their last registration (ms). */
  async *apps(): AsyncGenerator<[name: string, registered: number], void> {
    let cursor = "0";
    do {
      const from = cursor;
      const [next, found] = await this.#connection.command((client) =>
        client.zscan(this.#appsKey, from, "COUNT", CHUNK),
      );
      for (let i = 0; i < found.length; i += 2) yield [found[i] as string, Number(found[i + 1])];
      cursor = next;
    } while (cursor !== "0");
  }

  async #add(app: string): Promise<void> {
    const now = performance.now();
    await this.#checkLayout();
    await this.#connection.command((client) => client.zadd(this.#appsKey, Date.now(), app));
    this.#registered.set(app, now);
  }

  /**
   * Writes the version of the storage layout if the namespace has none.
   * @throws SessionError `redisError` if the namespace has another version
   */
  async #checkLayout(): Promise<void> {
    const key = layoutKey(this.#namespace);
    if ((await this.#connection.command((client) => client.set(key, LAYOUT, "NX"))) !== null) return;
    const found = await this.#connection.command((client) => client.get(key));
    if (found === LAYOUT || found === null) return;
    throw new SessionError(
      "redisError",
      `The sessions in Redis have the storage layout ${quote(found)}, not ${LAYOUT}`,
      {
        hint: `a newer version of this package wrote ${key}: update this server, or choose another namespace`,
      },
    );
  }
}

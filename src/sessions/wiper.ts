import type { SessionError } from "../errors.js";
import type { Connection } from "../redis/connection.js";
import { CHUNK } from "../redis/operation.js";
import { isFenced } from "../redis/script.js";
import type { AppRegistry, RegisteredApp } from "./app-registry.js";

/** An app without sessions stays registered for this time in ms, which is more than the servers' clocks differ. */
const EMPTY_APP_TTL = 86_400_000;

/** An app, as the wiper uses it. */
interface WipedApp {
  /** Removes the index entries of expired sessions. Returns the number of these sessions. */
  wipe(): Promise<number>;
  /** Whether the app has no session and no index entry. */
  isEmpty(): Promise<boolean>;
  /** Reads one key of each of the app's slots in a Cluster. */
  reach(deadline: number): Promise<void>;
}

/** Visits every app from time to time and removes the index entries of expired sessions. */
export class Wiper {
  readonly #connection: Connection;
  readonly #registry: AppRegistry;
  readonly #appOf: (app: RegisteredApp) => WipedApp;
  #timer: NodeJS.Timeout | undefined;

  constructor(connection: Connection, registry: AppRegistry, appOf: (app: RegisteredApp) => WipedApp) {
    this.#connection = connection;
    this.#registry = registry;
    this.#appOf = appOf;
  }

  /** Wipes all apps. If the keys of one app are damaged, the others are wiped before the error is thrown. */
  async wipe(): Promise<number> {
    const before = Date.now() - EMPTY_APP_TTL;
    let wiped = 0;
    let failure: unknown;
    for await (const listed of this.#registry.apps()) {
      const app = this.#appOf(listed);
      try {
        wiped += await app.wipe();
        if (listed.registered < before && (await app.isEmpty())) await this.#registry.drop(listed.name, before);
      } catch (error) {
        // It moves to other shards at this moment. The next round visits these.
        if (isFenced(error)) continue;
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
    for await (const listed of this.#registry.apps()) {
      page.push(this.#appOf(listed).reach(deadline));
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
}

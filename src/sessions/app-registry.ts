import { isOutage, quote, SessionError } from "../errors.js";
import type { Connection } from "../redis/connection.js";
import { CHUNK } from "../redis/operation.js";
import { BoundedMap } from "../util/bounded-map.js";
import { appsKey, Keys, LAYOUT, layoutKey } from "./keys.js";
import * as operations from "./operations.js";
import { chunks } from "./paging.js";

/** After this time in ms an app is registered or checked again, in case Redis has lost its keys. */
const REGISTRATION_TTL = 60_000;

/**
 * How long this process remembers that an app has another number of shards, in ms. Until it knew, it may have written a session where
 * nobody looks, so it must not do so with each request.
 */
const MISMATCH_TTL = 5000;

/** An app in the list of apps. */
export interface RegisteredApp {
  readonly name: string;
  /** When it was last registered, ms. */
  readonly registered: number;
  /** Its number of shards. */
  readonly shards: number;
}

/** What one app's sessions need to know from the list of apps. Each method rejects if the app has another number of shards. */
export interface AppRegistration {
  /**
   * Registers the app while a session is written. Returns undefined if this process did so in the last minute.
   * @param isSpread whether the session may be in another shard than its user's: those of a RedisStore and of an import
   * @throws SessionError if the app was just found to have another number of shards. The session must not be written then
   */
  register(isSpread: boolean): Promise<void> | undefined;
  /**
   * Must be called before a call answers that there is no session: with the wrong number of shards it would look in the wrong one.
   * Returns undefined if the number was found to be right in the last minute.
   */
  check(): Promise<void> | undefined;
  /** Returns whether the app may have sessions that are in another shard than their user's. */
  isSpread(): Promise<boolean>;
}

/**
 * The list of a namespace's apps in Redis. It says which apps the wipers visit, and how many shards each has. The first session
 * of an app decides that.
 */
export class AppRegistry {
  readonly #connection: Connection;
  readonly #namespace: string;
  readonly #shards: number;
  /** App → its number of shards in Redis, if this process follows that. */
  readonly #followed = new BoundedMap<number>();
  /** When this process registered each app, as performance.now() counts. A missing entry only costs one more command. */
  readonly #registered = new BoundedMap<number>();
  /** The same for the last time that an app's number of shards was found to be right. */
  readonly #checked = new BoundedMap<number>();
  /** App → the error of the last time that its number of shards was found to be wrong. */
  readonly #mismatches = new BoundedMap<{ readonly error: SessionError; readonly time: number }>();
  /** What is under way, so that calls at the same time share it. */
  readonly #pending = new Map<string, Promise<void>>();

  /** @param shards the number of shards of all apps, as this process has it */
  constructor(connection: Connection, namespace: string, shards: number) {
    this.#connection = connection;
    this.#namespace = namespace;
    this.#shards = shards;
  }

  /** The number of shards of an app, as this process has it. */
  shardsOf(app: string): number {
    return this.#followed.get(app) ?? this.#shards;
  }

  /**
   * Reads an app's number of shards, and uses it from now on for this app. Returns undefined if this was done in the last minute.
   * @param changed is called if this process had another number
   */
  follow(app: string, changed: () => void): Promise<void> | undefined {
    if (this.#followed.has(app) && isRecent(this.#checked.get(app))) return undefined;
    return this.#share(`follow ${app}`, async () => {
      const before = this.shardsOf(app);
      const { shards } = await this.#read(app);
      // An app that is not registered has no session. Keep the number with which this process would create one.
      if (shards === 0) return;
      this.#followed.set(app, shards);
      this.#checked.set(app, performance.now());
      if (shards !== before) changed();
    });
  }

  of(app: string): AppRegistration {
    return {
      register: (isSpread) => this.#register(app, isSpread),
      check: () => {
        if (isRecent(this.#checked.get(app))) return undefined;
        return this.#share(`check ${app}`, () => this.#tolerateOutage(app, this.#check(app)));
      },
      isSpread: async () => {
        const { shards, isSpread } = await this.#read(app);
        if (shards !== 0) this.#assertNumber(app, shards);
        return isSpread;
      },
    };
  }

  /** Yields the registered apps. */
  async *apps(): AsyncGenerator<RegisteredApp, void> {
    const key = appsKey(this.#namespace);
    let cursor = "0";
    do {
      const from = cursor;
      const [next, found] = await this.#connection.command((client) => client.zscan(key, from, "COUNT", CHUNK));
      cursor = next;
      const members = new Map<string, number>();
      for (let i = 0; i < found.length; i += 2) members.set(found[i] as string, Number(found[i + 1]));
      const names = [...members.keys()].filter((name) => !name.startsWith("{"));
      // A short list is on one page. Otherwise the number of an app may be on another page than the app.
      const isWhole = from === "0" && next === "0";
      for (const page of chunks(names)) {
        const numbers = isWhole
          ? page.map((name) => members.get(`{${name}}`) ?? 1)
          : (await this.#readAll(page)).map(({ shards }) => shards);
        for (const [i, name] of page.entries()) {
          const shards = numbers[i] as number;
          // Another process may have dropped it meanwhile.
          if (shards > 0) yield { name, registered: members.get(name) as number, shards };
        }
      }
    } while (cursor !== "0");
  }

  /** Removes an app from the list unless it was registered at `before` (ms) or later. It must have no session. */
  async drop(app: string, before: number): Promise<void> {
    // A call with a deadline of its own is not batched. The script's key is in another slot than the app's keys.
    const deadline = this.#connection.deadline();
    await this.#connection.run(operations.dropApp, new Keys(this.#namespace, app), { app, before }, deadline);
  }

  #register(app: string, isSpread: boolean): Promise<void> | undefined {
    const shards = this.shardsOf(app);
    // No app's name contains a brace.
    const name = isSpread ? `{${app}}~` : app;
    if (isRecent(this.#registered.get(name))) return undefined;
    const mismatch = this.#mismatches.get(app);
    if (mismatch !== undefined && performance.now() - mismatch.time < MISMATCH_TTL) throw mismatch.error;
    return this.#share(name, () => this.#tolerateOutage(app, this.#add(app, name, shards, isSpread)));
  }

  async #add(app: string, name: string, shards: number, isSpread: boolean): Promise<void> {
    const now = performance.now();
    await this.#checkLayout();
    const input = { app, now: Date.now(), shards, isSpread };
    const keys = new Keys(this.#namespace, app);
    const found = await this.#connection.run(operations.registerApp, keys, input, this.#connection.deadline());
    this.#assertNumber(app, found);
    this.#registered.set(name, now);
  }

  async #check(app: string): Promise<void> {
    const { shards } = await this.#read(app);
    // An app that is not registered has no session. Any process may create the first one, so do not remember the answer.
    if (shards !== 0) this.#assertNumber(app, shards);
  }

  /** An outage of the node that has the list must not affect the shards on other nodes, if their number was right before. */
  #tolerateOutage(app: string, work: Promise<void>): Promise<void> {
    return work.catch((error) => {
      if (!isOutage(error) || !this.#checked.has(app)) throw error;
    });
  }

  #share(name: string, work: () => Promise<void>): Promise<void> {
    let pending = this.#pending.get(name);
    if (pending === undefined) {
      pending = work().finally(() => this.#pending.delete(name));
      this.#pending.set(name, pending);
    }
    return pending;
  }

  async #read(app: string): Promise<operations.AppNumber> {
    const [found] = await this.#readAll([app]);
    return found as operations.AppNumber;
  }

  #readAll(apps: readonly string[]): Promise<operations.AppNumber[]> {
    const keys = new Keys(this.#namespace, "");
    return this.#connection.run(operations.readApps, keys, { apps }, this.#connection.deadline());
  }

  /** @throws SessionError `redisError` if the app has another number of shards in Redis than in this process */
  #assertNumber(app: string, found: number): void {
    const shards = this.shardsOf(app);
    if (found === shards) {
      this.#mismatches.delete(app);
      this.#checked.set(app, performance.now());
      return;
    }
    this.#checked.delete(app);
    this.#registered.delete(app);
    const message = `The app ${quote(app)} has ${shardsText(found)} in Redis, but this process has the option shards: ${shards}`;
    const hint = `pass shards: ${found} to RedisSessions or RedisStore; docs/shards.md says how to change the number`;
    const error = new SessionError("redisError", message, { hint });
    this.#mismatches.set(app, { error, time: performance.now() });
    throw error;
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

/** Whether a time of performance.now() is less than a minute ago. */
function isRecent(time: number | undefined): boolean {
  return time !== undefined && performance.now() - time < REGISTRATION_TTL;
}

function shardsText(count: number): string {
  return count === 1 ? "1 shard" : `${count} shards`;
}

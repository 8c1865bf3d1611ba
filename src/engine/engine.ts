import { Connection } from "../redis/connection.js";
import { type IoredisClient, openClient } from "../redis/ioredis.js";
import { clientOf } from "../redis/recognise.js";
import { AppSessions } from "../sessions/app-sessions.js";
import { Keys, quoteId } from "../sessions/keys.js";
import type { Bounds } from "../sessions/operations.js";
import type { Part } from "../sessions/paging.js";
import {
  type DataEntry,
  encodeChanges,
  encodeData,
  encodeHeader,
  type StoredSession,
  toSession,
  toSessions,
  UNTIL_CLOSED,
} from "../sessions/session-text.js";
import { createToken } from "../sessions/token.js";
import { Wiper } from "../sessions/wiper.js";
import type {
  Activity,
  ActivityOptions,
  Callback,
  Created,
  CreateOptions,
  DefaultData,
  GetOptions,
  KillallOptions,
  Killed,
  KillOptions,
  KillsoidOptions,
  RedisSessionsOptions,
  RotateOptions,
  Session,
  SessionList,
  SessionsOfAppOptions,
  SetOptions,
  SoappOptions,
  SoidOptions,
  Wiped,
} from "../types.js";
import { BoundedMap } from "../util/bounded-map.js";
import type { Rule } from "../util/rules.js";
import { warnOfMilliseconds } from "../util/seconds.js";
import { encodeWithin, toEntries } from "./data.js";
import { type ListPart, provideInternals, REPLACED_TOMBSTONE_TTL } from "./internals.js";
import { deliver, method, plainMethod } from "./method.js";
import { OpenCalls } from "./open-calls.js";
import { assertFixed, type Checked, checkEngineOptions, checkMethodOptions, fixedFieldsOf } from "./options.js";

/** Maximum length of a list over HTTP, in characters. The last session of a part may exceed it. */
const LIST_BYTES = 2 * 1024 * 1024;

/** An engine with any type of data. */
export type AnyRedisSessions = Pick<RedisSessions, "ping" | "quit" | "wipe">;

/**
 * Sessions in Redis that belong to an app and a user.
 *
 * Every method takes one options object (or none) and returns a promise; with a node-style callback as its last argument it
 * calls that instead. (`sessions` returns an iterator.) Methods are bound: `const { get } = rs` works.
 * If a session does not exist, the result is `null` or a count of 0, not an error. Methods reject with a SessionError.
 *
 * @example
 * const client = new Redis();
 * client.on("error", (error) => console.error("Redis:", error.message));
 * const rs = new RedisSessions({ client });
 * const { token } = await rs.create({ app: "webapp", id: "alice", ip: "203.0.113.7" });
 * await rs.set({ app: "webapp", token, d: { cart: 3 } });
 * await rs.killsoid({ app: "webapp", id: "alice" });
 */
export class RedisSessions<Data extends object = DefaultData> {
  /** Must be the first field: the initializers of the methods read it. */
  readonly #calls = new OpenCalls();
  #quitting: Promise<void> | undefined;
  /** The engine's own connection. Undefined if a client was passed in. */
  readonly #ownClient: IoredisClient | undefined;
  readonly #connection: Connection;
  readonly #namespace: string;
  readonly #nested: boolean;
  readonly #bounds: Bounds;
  /** Bounded, because app names may come from visitors. An app that was dropped is created again, with its own queue of sign-ins. */
  readonly #apps = new BoundedMap<AppSessions>();
  readonly #wiper: Wiper;

  /** @throws SessionError `invalidValue` for a misspelt or bad option; it names the right one */
  constructor(options: RedisSessionsOptions = {}) {
    checkEngineOptions(options);
    const { client, namespace = "rs", wipe = 600, timeout = 2000, nested = false } = options;
    const { maxBytes = 1024 * 1024, maxKeys = 1000 } = options;
    if (client === undefined) {
      this.#ownClient = openClient(options, timeout);
      this.#connection = new Connection(this.#ownClient, timeout);
    } else this.#connection = new Connection(clientOf(client), timeout);
    this.#namespace = namespace;
    this.#nested = nested;
    this.#bounds = { maxBytes, maxKeys };
    this.#wiper = new Wiper(this.#connection, namespace, (app) => this.#app(app).index);
    if (wipe > 0) this.#wiper.start(wipe);
    warnOfMilliseconds(this, "RedisSessions: wipe", wipe, 86_400);
    provideInternals(this, {
      connection: this.#connection,
      sessions: (app) => this.#app(app),
      reachApps: () => this.#wiper.reachApps(),
      lists: {
        soid: method(this.#calls, "soid", (options) => toListPart(options, (part) => this.#ofUser(options, part))),
        soapp: method(this.#calls, "soapp", (options) => toListPart(options, (part) => this.#active(options, part))),
      },
    });
  }

  readonly create: {
    (options: CreateOptions<Data>, callback: Callback<Created>): void;
    /**
     * Creates a session for a user. Returns its token, which is the browser's secret, and its ref.
     * @throws SessionError `tooManySessions` when the user has `maxPerUser` sessions and `overflow` is "reject"
     */
    (options: CreateOptions<Data>): Promise<Created>;
  } = method(this.#calls, "create", (options) => {
    const { absolute, maxPerUser, overflow, replaces } = options;
    const app = this.#app(options.app);
    const id = quoteId(options.id);
    const { ip, device, no_resave, maxAge } = options;
    const ttl = Math.min(options.ttl, absolute ?? options.ttl);
    warnOfMilliseconds(this, "create: ttl", options.ttl);
    warnOfMilliseconds(this, "create: absolute", absolute);
    const data = options.d === undefined ? "" : this.#encode(options.d, options.nested, encodeData);

    const { token, ref } = createToken();
    const now = Date.now();
    const flags = maxAge === undefined ? undefined : { maxAge: maxAge ?? UNTIL_CLOSED };
    const text = encodeHeader(now, ttl, { id, ip, device, no_resave, flags }) + data;
    const session = { ref, id, now, ttl, absolute, maxPerUser, overflow, text };

    const created =
      replaces === undefined ? app.create(session) : app.createReplacing(replaces, session, REPLACED_TOMBSTONE_TTL);
    return created.then(() => ({ token, ref }));
  });

  readonly get: {
    (options: GetOptions, callback: Callback<Session<Data> | null>): void;
    /**
     * Returns a session, or null if it does not exist. Counts the read and resets the idle timeout, unless `touch` is false.
     * @throws SessionError `invalidValue` for an `id`, `ip`, `device`, `maxAge`, `ttl` or `no_resave` that is not the session's
     */
    (options: GetOptions): Promise<Session<Data> | null>;
  } = method(
    this.#calls,
    "get",
    ({ app: name, ref, touch }, options) => {
      const app = this.#app(name);
      return ifFixed("get", app, ref, options, () => app.get(ref, touch));
    },
    toSessionNow<Data>,
  );

  readonly set: {
    (options: SetOptions<Data>, callback: Callback<Session<Data> | null>): void;
    /**
     * Merges data into a session, key by key. Returns the changed session. If the session does not exist, returns null and
     * writes nothing.
     * @throws SessionError `invalidValue` for an `id`, `ip`, `device`, `maxAge`, `ttl` or `no_resave` that is not the session's:
     * `set` changes `d` only
     */
    (options: SetOptions<Data>): Promise<Session<Data> | null>;
  } = method(
    this.#calls,
    "set",
    ({ app: name, ref, d, nested }, options) => {
      const app = this.#app(name);
      const changes = this.#encode(d, nested, encodeChanges);
      return ifFixed("set", app, ref, options, () => app.set(ref, changes, this.#bounds));
    },
    toSessionNow<Data>,
  );

  readonly kill: {
    (options: KillOptions, callback: Callback<Killed>): void;
    /**
     * Ends a session. The count is 0 if it does not exist.
     * @throws SessionError `invalidValue` for an `id` (or `ip`, `device`, `maxAge`, `ttl`, `no_resave`) that is not the session's
     */
    (options: KillOptions): Promise<Killed>;
  } = method(
    this.#calls,
    "kill",
    ({ app: name, ref }, options) => {
      const app = this.#app(name);
      return ifFixed("kill", app, ref, options, () => app.kill(ref));
    },
    (kill) => ({ kill: kill ?? 0 }),
  );

  readonly killsoid: {
    (options: KillsoidOptions, callback: Callback<Killed>): void;
    /** Ends all sessions of a user, or all but one (`except`). A session that is created during the call may survive. */
    (options: KillsoidOptions): Promise<Killed>;
  } = method(this.#calls, "killsoid", async ({ app, id, except }) => {
    return { kill: await this.#app(app).index.killUser(quoteId(id), except) };
  });

  readonly killall: {
    (options: KillallOptions, callback: Callback<Killed>): void;
    /** Ends all sessions of an app. A session that is created during the call may survive. */
    (options: KillallOptions): Promise<Killed>;
  } = method(this.#calls, "killall", async ({ app }) => {
    return { kill: await this.#app(app).index.killAll() };
  });

  readonly soid: {
    (options: SoidOptions, callback: Callback<SessionList<Data>>): void;
    /** Returns the sessions of a user, newest first. Does not count as a read and does not reset their idle timeouts. */
    (options: SoidOptions): Promise<SessionList<Data>>;
  } = method(this.#calls, "soid", async (options) => toList(await this.#ofUser(options, options)));

  readonly soapp: {
    (options: SoappOptions, callback: Callback<SessionList<Data>>): void;
    /** Returns the sessions of an app that were active in the last `dt` seconds, most recently active first. */
    (options: SoappOptions): Promise<SessionList<Data>>;
  } = method(this.#calls, "soapp", async (options) => toList(await this.#active(options, options)));

  /** The same as `killall`. */
  readonly killAll: RedisSessions<Data>["killall"] = this.killall;

  /** The same as `killsoid`. */
  readonly killUser: RedisSessions<Data>["killsoid"] = this.killsoid;

  /** The same as `soid`. */
  readonly userSessions: RedisSessions<Data>["soid"] = this.soid;

  /** The same as `soapp`. */
  readonly activeSessions: RedisSessions<Data>["soapp"] = this.soapp;

  /**
   * Iterates over the sessions that `soapp` returns: `for await (const session of rs.sessions({ app, dt }))`. Reads them in
   * pages, so that a long list blocks neither Redis nor the event loop, and only a few hundred are in memory. Takes no
   * callback.
   * @throws SessionError at once (not through the iterator) for bad input
   */
  readonly sessions = (options: SessionsOfAppOptions): AsyncGenerator<Session<Data>, void> => {
    const { app, dt: since } = checkMethodOptions("sessions", options ?? {});
    this.#calls.admit();
    return eachOf<Data>(this.#app(app).index.activePages(since));
  };

  readonly activity: {
    (options: ActivityOptions, callback: Callback<Activity>): void;
    /**
     * Counts the users (not sessions) that were active in the last `dt` seconds and still have a session. Exact for a `dt` up
     * to the sessions' `ttl`: a user whose sessions have all expired is counted until the wiper's next round.
     */
    (options: ActivityOptions): Promise<Activity>;
  } = method(this.#calls, "activity", async ({ app, dt: since }) => {
    return { activity: await this.#app(app).index.countUsers(since) };
  });

  readonly rotate: {
    (options: RotateOptions, callback: Callback<Created | null>): void;
    /**
     * Replaces the token of a session, for example when privileges change. The old token keeps working for `grace` seconds,
     * so that requests of the same browser that are under way do not fail.
     *
     * Returns `null` if the session does not exist, or if this token was rotated before. An old token must not buy a new
     * one: the caller of the first `rotate` already has it.
     */
    (options: RotateOptions): Promise<Created | null>;
  } = method(this.#calls, "rotate", async ({ app, token: old, grace }) => {
    warnOfMilliseconds(this, "rotate: grace", grace, 3600);
    const { token, ref } = createToken();
    return (await this.#app(app).rotate(old, ref, grace * 1000, REPLACED_TOMBSTONE_TTL)) ? { token, ref } : null;
  });

  readonly wipe: {
    (callback: Callback<Wiped>): void;
    /** Removes the index entries of expired sessions now. Returns the number of those sessions. */
    (): Promise<Wiped>;
  } = plainMethod(this.#calls, () => this.#wiper.wipe().then((wiped) => ({ wiped })));

  readonly ping: {
    (callback: Callback<string>): void;
    /** Checks that Redis answers. Returns "PONG". */
    (): Promise<string>;
  } = plainMethod(this.#calls, () => this.#connection.command((client) => client.ping()));

  readonly quit: {
    (callback: Callback<void>): void;
    /**
     * Stops the wiper, waits for calls under way (at most `timeout`), and closes the engine's own connection. A client that
     * was passed in stays open. Later calls are refused with the error `unavailable`. A second `quit` does nothing.
     */
    (): Promise<void>;
  } = (callback?: Callback<void>): never => {
    this.#quitting ??= this.#quit();
    // Not a plainMethod: that would count this call as under way, and quit would wait for itself.
    return deliver(this.#quitting, callback) as never;
  };

  async #quit(): Promise<void> {
    this.#wiper.stop();
    const deadline = this.#connection.deadline();
    await this.#connection.close(deadline, this.#calls.close());
    const own = this.#ownClient;
    if (own === undefined) return;
    // QUIT fails if Redis does not answer. Disconnect anyway.
    await this.#connection.within(deadline, () => own.quit()).catch(() => {});
    own.disconnect();
  }

  #ofUser({ app, id }: Checked<"soid">, part: Part): Promise<StoredSession[]> {
    return this.#app(app).index.ofUser(quoteId(id), part);
  }

  #active({ app, dt: since }: Checked<"soapp">, part: Part): Promise<StoredSession[]> {
    return this.#app(app).index.active(since, part);
  }

  #encode(d: object, nested: boolean | undefined, encode: (entries: DataEntry[]) => string): string {
    return encodeWithin(this.#bounds, toEntries(d, nested ?? this.#nested), encode);
  }

  #app(name: string): AppSessions {
    let app = this.#apps.get(name);
    if (app === undefined) {
      app = new AppSessions(this.#connection, new Keys(this.#namespace, name), () => this.#wiper.register(name));
      this.#apps.set(name, app);
    }
    return app;
  }
}

/** The rule for the option `rs` of the adapters. */
export const anEngine: Rule = {
  be: "an engine: new RedisSessions(…)",
  test: (value) => value instanceof RedisSessions,
};

function toSessionNow<Data>(stored: StoredSession | null): Session<Data> | null {
  return stored && toSession(stored, Date.now());
}

async function* eachOf<Data>(pages: AsyncIterable<StoredSession[]>): AsyncGenerator<Session<Data>, void> {
  for await (const page of pages) yield* await toSessions<Data>(page, Date.now());
}

async function toList<Data>(stored: readonly StoredSession[]): Promise<SessionList<Data>> {
  return { sessions: await toSessions(stored, Date.now()) };
}

async function toListPart({ offset, limit }: Part, list: (part: Part) => Promise<StoredSession[]>): Promise<ListPart> {
  // One session more than the limit tells whether there is a next part.
  const found = await list({ offset, limit: limit + 1, bytes: LIST_BYTES });
  const shown = found.slice(0, limit);
  const isCut = found.reduce((bytes, { size }) => bytes + size, 0) > LIST_BYTES;
  const answer = await toList<DefaultData>(shown);
  return found.length > limit || isCut ? { ...answer, next: offset + shown.length } : answer;
}

/** Makes a call if the fixed fields among its options are the session's own. */
function ifFixed<Result>(
  method: string,
  app: AppSessions,
  ref: string,
  options: object,
  call: () => Promise<Result>,
): Promise<Result | null> {
  const fields = fixedFieldsOf(options);
  return fields === undefined ? call() : app.ifCheckPasses(ref, (stored) => assertFixed(method, fields, stored), call);
}

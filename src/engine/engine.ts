import { impersonated, invalidValue } from "../errors.js";
import { Connection } from "../redis/connection.js";
import { type IoredisClient, openClient } from "../redis/ioredis.js";
import { clientOf } from "../redis/recognise.js";
import { Replicas } from "../redis/replicas.js";
import { AppRegistry } from "../sessions/app-registry.js";
import { AppSessions } from "../sessions/app-sessions.js";
import { type AppState, shardCountsOf } from "../sessions/app-state.js";
import { Absence } from "../sessions/families.js";
import { Keys, quoteId } from "../sessions/keys.js";
import { LeasedSessions } from "../sessions/leased-sessions.js";
import { Mover } from "../sessions/mover.js";
import { MovingSessions } from "../sessions/moving-sessions.js";
import { NearCache } from "../sessions/near-cache.js";
import type { Bounds } from "../sessions/operations.js";
import type { Part } from "../sessions/paging.js";
import { Plan } from "../sessions/plan.js";
import { type Move, Reshard } from "../sessions/reshard.js";
import {
  type DataEntry,
  encodeChanges,
  encodeData,
  encodeHeader,
  StoredSession,
  toSession,
  toSessions,
  UNTIL_CLOSED,
} from "../sessions/session-text.js";
import type { SessionLists, Sessions } from "../sessions/sessions.js";
import { shardOfUser, tagsOf } from "../sessions/shard.js";
import { ShardedSessions } from "../sessions/sharded-sessions.js";
import { createToken, knownRefOf, MAX_SHARDS } from "../sessions/token.js";
import { Wiper } from "../sessions/wiper.js";
import type {
  Activity,
  ActivityOptions,
  CacheStatus,
  Callback,
  ConfirmOptions,
  Created,
  CreateOptions,
  DefaultData,
  EventMap,
  EventsOptions,
  GetOptions,
  Imported,
  ImportSessionsOptions,
  Incremented,
  IncrementOptions,
  KillallOptions,
  Killed,
  KillOptions,
  KillsoidOptions,
  MissedEvent,
  RedisSessionsOptions,
  RotateOptions,
  Session,
  SessionEvent,
  SessionList,
  SessionsOfAppOptions,
  SetAllOptions,
  SetOptions,
  SoappOptions,
  SoidOptions,
  TouchOptions,
  Wiped,
  Written,
} from "../types.js";
import { BoundedMap } from "../util/bounded-map.js";
import type { Rule } from "../util/rules.js";
import { warnOfMilliseconds, warnOfSeconds } from "../util/seconds.js";
import { isToken } from "./checks.js";
import { encodeWithin, pathOf, toEntries } from "./data.js";
import { checkListener, Events } from "./events.js";
import { type ListPart, provideInternals, REPLACED_TOMBSTONE_TTL } from "./internals.js";
import { deliver, method, plainMethod } from "./method.js";
import { OpenCalls } from "./open-calls.js";
import { assertFixed, type Checked, checkEngineOptions, checkMethodOptions, type MethodName } from "./options.js";
import { RedisSessionsSource } from "./redis-sessions.js";

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
  /** About how many events the stream of an app keeps; 0 for no stream. Undefined if changes are not announced. */
  readonly #maxEvents: number | undefined;
  readonly #bounds: Bounds;
  /** Bounded, because app names may come from visitors. An app that was dropped is created again, with its own queue of sign-ins. */
  readonly #apps = new BoundedMap<LeasedSessions>();
  readonly #registry: AppRegistry;
  readonly #wiper: Wiper;
  /** Undefined without `cachetime`. */
  readonly #cache: NearCache | undefined;
  /** Undefined until somebody listens. */
  #events: Events | undefined;

  /** @throws SessionError `invalidValue` for a misspelt or bad option; it names the right one */
  constructor(options: RedisSessionsOptions = {}) {
    checkEngineOptions(options);
    const { client, namespace = "rs", wipe = 600, timeout = 2000, nested = false } = options;
    const { maxBytes = 1024 * 1024, maxKeys = 1000, shards = 1 } = options;
    const { cachetime = 0, cachemax = 5000, events = cachetime > 0 } = options;
    if (client === undefined) {
      this.#ownClient = openClient(options, timeout);
      this.#connection = new Connection(this.#ownClient, timeout);
    } else this.#connection = new Connection(clientOf(client), timeout);
    this.#namespace = namespace;
    this.#nested = nested;
    this.#maxEvents = typeof events === "object" ? events.stream : events ? 0 : undefined;
    this.#bounds = { maxBytes, maxKeys };
    if (cachetime > 0) {
      const renew = (app: string) => this.#apps.get(app)?.renew();
      this.#cache = new NearCache(this.#connection, cachetime, cachemax, renew);
    }
    warnOfMilliseconds(this, "RedisSessions: cachetime", cachetime, 86_400);
    this.#registry = new AppRegistry(this.#connection, namespace, shards);
    this.#wiper = new Wiper(this.#connection, this.#registry, ({ name, state }) => this.#wipedApp(name, state));
    if (wipe > 0) this.#wiper.start(wipe);
    warnOfMilliseconds(this, "RedisSessions: wipe", wipe, 86_400);
    warnOfSeconds(this, "RedisSessions: timeout", timeout);
    provideInternals(this, {
      connection: this.#connection,
      shards,
      sessions: (app) => this.#app(app),
      followShards: () => {
        this.#registry.followsAny = true;
      },
      setLeaseTime: (ms) => {
        this.#registry.leaseTime = ms;
      },
      reshard: (app, options) => {
        const replicas = new Replicas(this.#connection);
        const open = (state: AppState) => this.#openMove(app, state, () => replicas.confirm());
        return new Reshard(this.#connection, this.#registry, namespace, app, open, replicas, options).run();
      },
      reachApps: () => this.#wiper.reachApps(),
      hasEvents: this.#maxEvents !== undefined,
      listen: (app, sink) => this.#listening().feed.listen(app, sink),
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
     * @throws SessionError `tooManySessions` when the user has `maxPerUser` sessions and `overflow` is "reject";
     * `impersonated` if `replaces` and the new session are both impersonated
     */
    (options: CreateOptions<Data>): Promise<Created>;
  } = method(this.#calls, "create", (options) => {
    const { absolute, maxPerUser, overflow, replaces } = options;
    const app = this.#app(options.app);
    const id = quoteId(options.id);
    const { ip, device, actor, no_resave, maxAge } = options;
    const ttl = Math.min(options.ttl, absolute ?? options.ttl);
    warnOfMilliseconds(this, "create: maxAge", maxAge ?? undefined);
    warnOfMilliseconds(this, "create: ttl", options.ttl);
    warnOfMilliseconds(this, "create: absolute", absolute);
    const data = options.d === undefined ? "" : this.#encode(options.d, options.nested, encodeData);

    const { token, ref } = createToken(shardOfUser(id, MAX_SHARDS));
    const now = Date.now();
    const flags = { actor, maxAge: maxAge === null ? UNTIL_CLOSED : maxAge };
    const text = encodeHeader(now, ttl, { id, ip, device, no_resave, flags }) + data;
    const session = { ref, id, now, ttl, absolute, maxPerUser, overflow, text };
    const mayReplace = actor === undefined ? undefined : assertNotImpersonated;

    const created =
      replaces === undefined
        ? app.create(session)
        : app.createReplacing(replaces, session, REPLACED_TOMBSTONE_TTL, mayReplace);
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
    (checked) => {
      const { app: name, token, ref, touch, fresh } = checked;
      const app = this.#app(name);
      const get = () => {
        const cached = fresh || this.#cache === undefined ? undefined : app.takeCached(ref, touch);
        if (cached !== undefined) return Promise.resolve(cached);
        return token === undefined ? app.get(ref, touch) : app.find(token, touch);
      };
      return ifFixed("get", app, checked, get);
    },
    toSessionNow<Data>,
    (options) => this.#recall(options),
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
    (checked) => {
      const { app: name, token, ref, d, nested, touch } = checked;
      const app = this.#app(name);
      const changes = this.#encode(d, nested, encodeChanges);
      return ifFixed("set", app, checked, () => app.set(ref, changes, this.#bounds, touch, token));
    },
    toSessionNow<Data>,
  );

  readonly setAll: {
    (options: SetAllOptions<Data>, callback: Callback<Written>): void;
    /**
     * Merges data into all sessions of a user, key by key, without touching them: for a role that changes. Returns how many
     * sessions were changed. Every session that exists at the call is changed, also one that is rotated meanwhile. A session that
     * is created during the call may be missed. Sessions of RedisStore are left alone.
     * @throws SessionError `invalidValue` if the data of a session would exceed `maxBytes` or `maxKeys`; the user's other sessions
     * are changed
     */
    (options: SetAllOptions<Data>): Promise<Written>;
  } = method(this.#calls, "setAll", async ({ app, id, d, nested }) => {
    const changes = this.#encode(d, nested, encodeChanges);
    return { set: await this.#app(app).setAll(quoteId(id), changes, this.#bounds) };
  });

  readonly increment: {
    (options: IncrementOptions, callback: Callback<Incremented | null>): void;
    /**
     * Adds to an integer in a session's data, in one step: of 50 calls at the same time, none is lost. Returns the new value. If it
     * would exceed `max`, nothing changes, and the result says so. If the session does not exist, returns null.
     * @throws SessionError `invalidValue` if the value is not an integer, or the new one would exceed 2^53 - 1; and for an `id`,
     * `ip`, `device`, `maxAge`, `actor`, `ttl` or `no_resave` that is not the session's
     */
    (options: IncrementOptions): Promise<Incremented | null>;
  } = method(
    this.#calls,
    "increment",
    (checked) => {
      const { app: name, token, ref, key, by, max, touch } = checked;
      const app = this.#app(name);
      // Without a value, the line of a key is that of its removal.
      const line = encodeWithin(this.#bounds, [[key, null]], encodeChanges);
      const increment = { key: line, by, max, path: pathOf("d", key) };
      const call = () => app.increment(ref, increment, this.#bounds, touch, token);
      return ifFixed("increment", app, checked, call);
    },
    (found) => (found instanceof Absence ? null : found),
  );

  readonly touch: {
    (options: TouchOptions, callback: Callback<Session<Data> | null>): void;
    /**
     * Prolongs a session now, and may set another `ttl`. Counts no read. Returns the session, or null if it does not exist.
     * @throws SessionError `impersonated` for a `ttl` if the session has an `actor`; `invalidValue` for an `id`, `ip`, `device`,
     * `maxAge`, `actor` or `no_resave` that is not the session's
     */
    (options: TouchOptions): Promise<Session<Data> | null>;
  } = method(
    this.#calls,
    "touch",
    (checked) => {
      const { app: name, token, ref, ttl } = checked;
      const app = this.#app(name);
      warnOfMilliseconds(this, "touch: ttl", ttl);
      return ifFixed("touch", app, checked, () => app.touch(ref, ttl, token));
    },
    toSessionNow<Data>,
  );

  readonly confirm: {
    (options: ConfirmOptions, callback: Callback<Session<Data> | null>): void;
    /**
     * Records that the session's user was authenticated now, for example by a password: sets `authTime`. Counts no read and no
     * write, and does not prolong the session. Returns the session, or null if it does not exist.
     * @throws SessionError `impersonated` if the session has an `actor`, because its user was not there; `invalidValue` for an
     * `id`, `ip`, `device`, `maxAge`, `actor`, `ttl` or `no_resave` that is not the session's
     */
    (options: ConfirmOptions): Promise<Session<Data> | null>;
  } = method(
    this.#calls,
    "confirm",
    (checked) => {
      const { app: name, token, ref } = checked;
      const app = this.#app(name);
      return ifFixed("confirm", app, checked, () => app.confirm(ref, token));
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
    (checked) => {
      const { app: name, token, ref } = checked;
      const app = this.#app(name);
      return ifFixed("kill", app, checked, () => app.kill(ref, undefined, token));
    },
    (kill) => ({ kill: kill ?? 0 }),
  );

  readonly killsoid: {
    (options: KillsoidOptions, callback: Callback<Killed>): void;
    /** Ends all sessions of a user, or all but one (`except`). A session that is created during the call may survive. */
    (options: KillsoidOptions): Promise<Killed>;
  } = method(this.#calls, "killsoid", async ({ app: name, id, except }) => {
    const app = this.#app(name);
    const kept = isToken(except) ? await app.currentRef(except) : except;
    return { kill: await app.index.killUser(quoteId(id), kept) };
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
     * one: the caller of the first `rotate` already has it. With `confirm`, the old token stays valid until the new one is
     * used, and `rotate` returns the same new token until then.
     *
     * If an old token is used long after its grace, the session ends: it was stolen.
     */
    (options: RotateOptions): Promise<Created | null>;
  } = method(this.#calls, "rotate", ({ app, token, grace, confirm }) => {
    warnOfMilliseconds(this, "rotate: grace", grace, 3600);
    return this.#app(app).rotateToken(token, grace * 1000, confirm, REPLACED_TOMBSTONE_TTL);
  });

  /**
   * Calls the listener for each event of all apps of the namespace, whichever process has caused it: "created", "changed",
   * "rotated", "ended"; "subscribed" when the engine begins to hear an app; "error" with what a listener has thrown. Events that
   * happen while the connection is lost are missed, see `events` for a way to miss none.
   * @throws SessionError `invalidValue` for an unknown name, and without the option `events` of the engine
   */
  readonly on = <Name extends keyof EventMap>(name: Name, listener: (event: EventMap[Name]) => void): this => {
    checkListener(name, listener);
    this.#listening().on(name, listener);
    return this;
  };

  /** The same as `on`, for the next event only. */
  readonly once = <Name extends keyof EventMap>(name: Name, listener: (event: EventMap[Name]) => void): this => {
    checkListener(name, listener);
    this.#listening().once(name, listener);
    return this;
  };

  /** Removes a listener. Nothing happens if it was not added. The engine stops listening to Redis with the last one. */
  readonly off = <Name extends keyof EventMap>(name: Name, listener: (event: EventMap[Name]) => void): this => {
    checkListener(name, listener);
    this.#events?.off(name, listener);
    return this;
  };

  /**
   * Iterates over the events of an app: `for await (const event of rs.events({ app }))`. With `after` it begins with the events in
   * the stream that come after that position. It yields an event of the kind "missed" where events are missing: after a lost
   * connection, or, with `after`, if they were trimmed. Ends with `break`, and when `quit` is called.
   * @throws SessionError at once (not through the iterator) for bad input, and without the option `events` of the engine. The
   * iterator fails with `unavailable` if more than 10,000 events wait for it, and with `invalidValue` if the app no longer has the
   * number of shards that it had at the position `after`
   */
  readonly events = (options: EventsOptions): AsyncGenerator<SessionEvent | MissedEvent, void> => {
    const { app, after } = checkMethodOptions("events", options ?? {});
    const events = this.#listening();
    if (after === undefined) return events.live(app);
    if (!this.#maxEvents) {
      throw invalidValue(
        "events: after needs a stream",
        "set events: { stream: 10_000 } of RedisSessions in every process",
      );
    }
    return events.after(app, after);
  };

  readonly importSessions: {
    (options: ImportSessionsOptions, callback: Callback<Imported>): void;
    /**
     * Moves all sessions of an app that redis-sessions 2 to 4 wrote. Their tokens, users, data, counters and times are kept.
     * redis-sessions must no longer run: it would not find the sessions. Redis is scanned in small steps, so this call may take
     * longer than `timeout`; each step is limited by `timeout`. If it fails or is stopped, call it again to import the rest.
     * @throws SessionError `timeout` or `unavailable` if Redis does not answer; sessions that were imported by then stay imported
     */
    (options: ImportSessionsOptions): Promise<Imported>;
  } = method(this.#calls, "importSessions", (options) => {
    const { app, namespace = this.#namespace } = options;
    return new RedisSessionsSource(this.#connection, this.#app(app), namespace, app).importAll(options);
  });

  readonly wipe: {
    (callback: Callback<Wiped>): void;
    /** Removes the index entries of expired sessions now. Returns the number of those sessions. */
    (): Promise<Wiped>;
  } = plainMethod(this.#calls, "wipe", () => this.#wiper.wipe().then((wiped) => ({ wiped })));

  readonly ping: {
    (callback: Callback<string>): void;
    /** Checks that Redis answers. Returns "PONG". */
    (): Promise<string>;
  } = plainMethod(this.#calls, "ping", () => this.#connection.command((client) => client.ping()));

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

  /** The state of the near cache. All is 0 and false without `cachetime`. */
  get cache(): CacheStatus {
    return this.#cache?.status ?? { hits: 0, misses: 0, size: 0, subscribed: false };
  }

  async #quit(): Promise<void> {
    this.#wiper.stop();
    this.#events?.close();
    const deadline = this.#connection.deadline();
    const calls = this.#calls.close().then(() => this.#cache?.close());
    await this.#connection.close(deadline, calls);
    const own = this.#ownClient;
    if (own === undefined) return;
    // QUIT fails if Redis does not answer. Disconnect anyway.
    await this.#connection.within(deadline, () => own.quit()).catch(() => {});
    own.disconnect();
  }

  /** Answers a `get` from the near cache without the checks, if it has the options of nearly every call. */
  #recall(options: GetOptions): Session<Data> | undefined {
    if (this.#cache === undefined) return undefined;
    for (const name in options) if (name !== "app" && name !== "token") return undefined;
    const ref = knownRefOf(options.token);
    const stored = ref === undefined ? undefined : this.#cache.take(options.app, ref, true);
    return stored && toSession<Data>(stored, Date.now());
  }

  /** @throws SessionError `invalidValue` without the option `events`, `unavailable` after `quit` */
  #listening(): Events {
    this.#calls.admit();
    if (this.#maxEvents === undefined) {
      throw invalidValue(
        "RedisSessions has no events without its option events",
        "set events: true in every process that writes to the sessions",
      );
    }
    this.#events ??= new Events({
      subscriber: this.#connection.subscriber,
      apps: () => this.#registry.apps(),
      stateOf: (app) => this.#registry.stateOf(app),
      stateNow: (app) => this.#registry.stateNow(app),
      checkShards: (app) => this.#registry.check(app),
      channelsOf: (app, state) =>
        shardCountsOf(state)
          .flatMap((count) => this.#shardKeys(app, count))
          .map(({ channel }) => channel),
      wipeExpired: (app, state) => this.#wipedApp(app, state).wipeExpired(),
      streamsOf: (app, shards) => {
        const streams = this.#shardKeys(app, shards).map(({ stream }) => stream);
        return (shard, from, limit) =>
          this.#connection.command((client) => client.xrange(streams[shard] as string, from, "+", "COUNT", limit));
      },
    });
    return this.#events;
  }

  #shardKeys(app: string, shards: number): Keys[] {
    return tagsOf(app, shards).map((tag) => new Keys(this.#namespace, app, this.#maxEvents, tag));
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

  #app(name: string): LeasedSessions {
    let app = this.#apps.get(name);
    if (app === undefined) {
      const open = (state: AppState) => {
        // It may be about to move. The near cache hears one shard at a time.
        this.#cache?.leave(name);
        return this.#open(name, state);
      };
      app = new LeasedSessions(this.#registry, name, open, () => this.#cache?.noteMiss());
      this.#apps.set(name, app);
    }
    return app;
  }

  /** Other processes may have other apps, with other numbers of shards. What the wiper opens for these is not kept. */
  #wipedApp(name: string, state: AppState): SessionLists {
    return this.#open(name, state).index;
  }

  /** Opens the sessions of an app in a state. */
  #open(name: string, state: AppState): Sessions {
    const { shards, next, isMoving, plan } = state;
    if (isMoving) {
      const { mover, from, to } = this.#openMove(name, state);
      return new MovingSessions(mover, from, to);
    }
    const fence = next === undefined ? undefined : plan;
    if (shards > 1) return this.#openShards(name, shards, fence);
    return this.#openShard(name, name, fence);
  }

  #openMove(name: string, state: AppState, beforeRemoval?: () => Promise<void>): Move {
    const { shards, former = shards } = state;
    const [from, to] = [this.#openShards(name, former), this.#openShards(name, shards)];
    const plan = new Plan(this.#registry, name, state);
    const mover = new Mover(this.#connection, from, to, this.#registry.of(name), plan, beforeRemoval);
    return { mover, from, to, plan };
  }

  #openShards(name: string, count: number, plan?: number): ShardedSessions {
    return new ShardedSessions(name, count, this.#registry.of(name), (tag) => this.#openShard(name, tag, plan));
  }

  /** @param plan the plan by which the app is about to move. Then other processes may use the new shards before this one knows */
  #openShard(name: string, tag: string, plan?: number): AppSessions {
    return new AppSessions(
      this.#connection,
      new Keys(this.#namespace, name, this.#maxEvents, tag, plan),
      this.#registry.of(name),
      () => this.#events?.feed.prepare(name),
      plan === undefined ? this.#cache : undefined,
    );
  }
}

/** The rule for the option `rs` of the adapters. */
export const anEngine: Rule = {
  be: "an engine: new RedisSessions(…)",
  test: (value) => value instanceof RedisSessions,
};

function toSessionNow<Data>(found: StoredSession | Absence | null): Session<Data> | null {
  return found instanceof StoredSession ? toSession(found, Date.now()) : null;
}

/** @throws SessionError `impersonated` if a session is impersonated: it cannot be used to impersonate another user */
function assertNotImpersonated(session: StoredSession): void {
  if (session.actor !== undefined) throw impersonated("be used to impersonate again");
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
  method: MethodName,
  app: Sessions,
  { token, ref, fixed }: Pick<Checked<"kill">, "token" | "ref" | "fixed">,
  call: () => Promise<Result>,
): Promise<Result | null> {
  if (fixed === undefined) return call();
  return app.ifCheckPasses(ref, (stored) => assertFixed(method, fixed, stored), call, token);
}

import type { IncomingMessage, ServerResponse } from "node:http";
import { checkApp, checkBoolean, checkMaxAge } from "../engine/checks.js";
import type { RedisSessions } from "../engine/engine.js";
import { internalsOf, REPLACED_TOMBSTONE_TTL } from "../engine/internals.js";
import { OPTION_NAMES } from "../engine/options.js";
import { invalidValue, isOutage, isRefusal, missingParameter } from "../errors.js";
import { isTracing, traced } from "../redis/call-trace.js";
import { Absence } from "../sessions/families.js";
import { encodeOrigin, StoredSession, toSession } from "../sessions/session-text.js";
import { refOf } from "../sessions/token.js";
import type {
  Changes,
  Created,
  CreateOptions,
  EndReason,
  Incremented,
  Killed,
  Limits,
  Session,
  SoidOptions,
  Which,
} from "../types.js";
import { omitNullish } from "../util/objects.js";
import { checkNames, type OptionsOwner, refuseArgument } from "../util/rules.js";
import { refuseCrossSite } from "./cross-site.js";
import type { AppOf, ChangedUse, SessionsOptions, Use } from "./options.js";
import { UNKNOWN } from "./request.js";
import { type Channels, ResponseToken } from "./response-token.js";
import { SentTokens } from "./sent-tokens.js";

/** The options of the engine's `create` that `req.rs.create` sets itself. */
const SET_BY_REQUEST = ["app", "id", "nested", "replaces"] as const;

const SIGN_IN_NAMES = [
  ...OPTION_NAMES.create.filter((name) => !(SET_BY_REQUEST as readonly string[]).includes(name)),
  "crossSite",
];

const OWNERS = {
  get: { name: "get", call: "req.rs.get({ touch: false })" },
  set: { name: "set", call: "req.rs.set(d, { touch: false })" },
  increment: { name: "increment", call: "req.rs.increment(key, by, { max })" },
  touch: { name: "touch", call: "req.rs.touch({ ttl })" },
  create: { name: "create", call: "req.rs.create(id, { ttl })" },
  rotate: { name: "rotate", call: "req.rs.rotate({ grace })" },
  devices: { name: "devices", call: "req.rs.devices({ limit })" },
} satisfies Record<string, OptionsOwner>;

/**
 * Options of `req.rs.create`: those of the engine's `create`, except the app, the user's id, `replaces` and `nested`.
 * `ip` and `device` default to those of the request.
 */
export type SignInOptions<Data> = {
  [Name in keyof Omit<CreateOptions<Data>, (typeof SET_BY_REQUEST)[number]>]?: CreateOptions<Data>[Name] | undefined;
} & {
  /**
   * Whether a page of another site may send this sign-in by POST. Default false: `create` throws `crossSite`.
   *
   * Identity providers need it for SAML and for OpenID Connect with `form_post`. Then check the `state` or `RelayState`
   * that you sent to the provider; otherwise an attacker can sign your visitor in to the attacker's account. Has no
   * effect if no response sets a token (`cookie: false`).
   */
  crossSite?: boolean | undefined;
};

/** One of the user's sessions. */
export type Device<Data> = Session<Data> & {
  /** Whether it is the session of this request. */
  current: boolean;
};

/**
 * The state of the request's session: "none" if there is none, "unmodified" if it is as the request found it,
 * "modified" if the request wrote, prolonged, rotated or created it, "ended" if the request ended it.
 */
export type SessionState = "none" | "unmodified" | "modified" | "ended";

/** What the requests of one middleware share. */
export interface Context<Data extends object> extends Channels {
  /** The property of a request that has this middleware's session, if the request has passed several of these middlewares. */
  readonly key: symbol;
  readonly rs: RedisSessions<Data>;
  readonly app: string | AppOf;
  /** Returns the options of `create` that are taken from the request, and the middleware's limits. */
  readonly signIn: (req: IncomingMessage) => Limits & { ip: string; device?: string };
  /** Returns where the request comes from. */
  readonly useOf: (req: IncomingMessage) => Use;
  /** The option of `sessions()`. */
  readonly onChange: SessionsOptions<Data>["onChange"];
  /** Whether `get` returns null while Redis cannot be reached. */
  readonly anonymousOnOutage: boolean;
}

/** The session that the request names. It may not exist. */
interface Current {
  app: string;
  token: string;
}

/**
 * The session of one request, `req.rs`. Sends nothing to Redis until you call a method. A write is in Redis when its
 * promise resolves. While Redis cannot be reached, methods reject with a SessionError whose `status` is 503.
 */
export class RequestSession<Data extends object> {
  readonly #context: Context<Data>;
  readonly #req: IncomingMessage;
  readonly #response: ResponseToken;
  readonly #receivedAt = performance.now();
  readonly #sent: SentTokens;
  #token: string | undefined;
  #state: SessionState;
  #reason: EndReason | undefined;
  /** The token that this response sets, if any. The browser does not have it yet. */
  #issued: string | undefined;
  /** The result of a rotation of this request with `confirm`. */
  #confirmed: Created | undefined;
  /** The session, once a method has asked for it. */
  #loaded: Promise<Session<Data> | null> | undefined;
  /** Whether loading `#loaded` also touched the session. */
  #touched = false;
  /** A change of where the session is used, until `onChange` is called. */
  #change: ChangedUse<Data> | undefined;
  #appOfRequest: Promise<string | undefined> | undefined;

  /** @param token the token from a header or from the option `read`; with one the cookies are ignored */
  constructor(context: Context<Data>, req: IncomingMessage, res: ServerResponse, token: string | undefined) {
    this.#context = context;
    this.#req = req;
    const cookie = token === undefined ? context.cookie : undefined;
    this.#sent = new SentTokens(cookie?.read(req) ?? []);
    this.#response = new ResponseToken(context, req, res, cookie);
    this.#response.setSource(this.#sent.first);
    this.#token = token ?? this.#sent.first?.token;
    this.#state = this.#token === undefined ? "none" : "unmodified";
  }

  /** Returns the `key` of the middleware that made a session. Returns undefined for any other value. */
  static keyOf(value: unknown): symbol | undefined {
    return value instanceof RequestSession ? value.#context.key : undefined;
  }

  /**
   * The token that the browser sent or is about to receive. There may be no session with this token. If the request has
   * several cookies, this is the first one's token until a method has found the cookie that has a session.
   */
  get token(): string | undefined {
    return this.#token;
  }

  /** The state of the session. A token counts as a session until a method has asked Redis for it. */
  get state(): SessionState {
    return this.#state;
  }

  /**
   * Why there is no session, if that is known: "reused" if it was ended because a token was used again after it had been
   * replaced (see `rotate`). Undefined until a method has asked for the session.
   */
  get reason(): EndReason | undefined {
    return this.#reason;
  }

  /**
   * Returns the session, or null if there is none. Asks Redis once per request, counts one read and touches the
   * session.
   *
   * @param options with `touch: false` the call counts no read and does not touch the session. Use it for requests that
   * must not keep a session alive, such as polling. If the request also calls `get()` without it, the session is
   * touched.
   */
  async get(options: { touch?: boolean | undefined } = {}): Promise<Session<Data> | null> {
    checkNames(OWNERS.get, options, ["touch"]);
    const loaded = this.#loadAndTell(checkBoolean("touch", options.touch ?? true));
    return await (this.#context.anonymousOnOutage ? loaded.catch(nullIfOutage) : loaded);
  }

  /**
   * Merges data into the session, key by key. A value may be any JSON; null removes its key.
   *
   * @returns the changed session. Null if there is no session: then nothing was stored. That is so for a visitor who has
   * not signed in, and for a session that ended meanwhile. `create` makes a session, also for guests
   *
   * @param options with `touch: false` the write does not touch the session. Use it for requests that must not keep a
   * session alive, such as polling.
   */
  async set(d: Changes<Data>, options: { touch?: boolean | undefined } = {}): Promise<Session<Data> | null> {
    checkNames(OWNERS.set, options, ["touch"]);
    const touch = checkBoolean("touch", options.touch ?? true);
    const current = await this.#current();
    if (current === null) return null;
    const session = await this.#written(this.#context.rs.set({ ...this.#whichOf(current), d, nested: true, touch }));
    return this.#changed(current, session, touch);
  }

  /**
   * Adds `by` to an integer in the session's data, in one step, so that parallel requests lose no count. Returns the new
   * value, or null if there is no session.
   *
   * @param key the key of the data; if the session does not have it, it counts as 0
   * @param options `max`: the largest value to reach; if adding would exceed it, nothing changes and `applied` is false.
   * `touch`: as for `set`
   * @throws SessionError `invalidValue` if the value is not an integer, or the new one would exceed 2^53 - 1
   */
  async increment(
    key: string,
    by = 1,
    options: { max?: number | undefined; touch?: boolean | undefined } = {},
  ): Promise<Incremented | null> {
    checkNames(OWNERS.increment, options, ["max", "touch"]);
    const current = await this.#current();
    if (current === null) return null;
    const result = await this.#written(this.#context.rs.increment({ ...options, ...this.#whichOf(current), key, by }));
    if (result?.applied === false) return result;
    // The next get loads the new value.
    this.#loaded = undefined;
    if (this.#token === current.token) this.#state = result === null ? "none" : "modified";
    return result;
  }

  /**
   * Prolongs the session now, and returns it. Returns null if there is no session.
   *
   * @param options `ttl`: the session's new idle timeout in seconds, at least 10. Default: as it is. The cookie's
   * `maxAge` stays as it is: without one, the browser keeps the cookie until it is closed
   */
  async touch(options: { ttl?: number | undefined } = {}): Promise<Session<Data> | null> {
    checkNames(OWNERS.touch, options, ["ttl"]);
    const current = await this.#current();
    if (current === null) return null;
    return this.#changed(
      current,
      await this.#written(this.#context.rs.touch({ ...options, ...this.#whichOf(current) })),
      true,
    );
  }

  /**
   * Signs a user in: ends the request's current session, creates a session with a new token and sets the cookie. If the
   * request has several session cookies, the sessions of all are ended.
   *
   * With `actor`, the middleware's `ttl`, `maxPerUser` and `overflow` do not apply: the session ends after an hour, and
   * ends none of the user's own.
   *
   * @param id the user's id: a string, or a safe integer, which is taken as its text
   * @throws SessionError `impersonated` if the request's session is impersonated and `actor` is set; `crossSite` if a
   * page of another site sent the request by POST; `headersSent` if the response has begun. Nobody is signed in then
   */
  async create(id: string | number, options: SignInOptions<Data> = {}): Promise<Created> {
    checkNames(OWNERS.create, options, SIGN_IN_NAMES);
    const { crossSite = false, ...given } = options;
    const maxAge = checkMaxAge(given.maxAge);
    const isImpersonation = (given.actor ?? undefined) !== undefined;
    // Without a transport no response sets the token, so another site's page cannot get it into a browser.
    if (!checkBoolean("crossSite", crossSite) && this.#context.transport !== undefined) refuseCrossSite(this.#req);
    this.#response.assertWritable();
    const app = await this.#app();
    if (app === undefined) throw missingParameter("app", "the option app returned undefined for this request");
    const current = await this.#current();
    const otherTokens = this.#sent.otherThan(this.#token);
    const replaces = current === null ? {} : { replaces: current.token };
    const defaults = this.#context.signIn(this.#req);
    // As in the engine: a session that ends before its cookie would not be remembered.
    if (defaults.ttl !== undefined) defaults.ttl = Math.max(defaults.ttl, maxAge ?? 0);
    const present = isImpersonation ? withoutLimits(defaults) : defaults;
    const signIn = { ...present, ...omitNullish(given), ...replaces, maxAge, app, id, nested: true };
    let created: Created;
    try {
      created = await this.#written(this.#context.rs.create(signIn));
    } catch (error) {
      // The script ends the current session first. A refusal or an outage leaves it alone; any other error may not
      // have.
      if (this.#token !== undefined && !isRefusal(error) && !isOutage(error)) this.#forgetToken();
      throw error;
    }
    this.#loaded = undefined;
    try {
      this.#useToken(created.token, maxAge);
    } catch (error) {
      // The response has begun meanwhile, so the token can reach nobody.
      this.#forgetToken();
      await this.#context.rs.kill({ app, token: created.token });
      throw error;
    }
    await this.#killTokens(app, otherTokens);
    return created;
  }

  /**
   * Replaces the session's token. Call it when the user's privileges change. Returns null if there is no session, or if
   * another request has just rotated it.
   *
   * @param options `grace`: seconds for which the old token stays valid, for the browser's other requests. Default 10;
   * 0 ends it at once. `confirm`: whether the old token also stays valid until the browser uses the new one, so that a
   * lost response signs nobody out. Then the call returns the same new token again until the browser uses it. Default
   * false.
   * @throws SessionError `headersSent` if the response has begun. Nothing is changed then, unless the response began
   * during the call: then the new token reaches nobody, and without `confirm` the session ends with its grace
   */
  async rotate(options: { grace?: number | undefined; confirm?: boolean | undefined } = {}): Promise<Created | null> {
    checkNames(OWNERS.rotate, options, ["grace", "confirm"]);
    this.#response.assertWritable();
    // A second new token would end the one that the browser still has.
    const confirmed = this.#confirmed;
    if (options.confirm && confirmed !== undefined && confirmed.token === this.#token) return confirmed;
    const current = await this.#current();
    if (current === null) return null;
    const maxAge = this.#maxAgeOf(current);
    const rotated = await this.#written(this.#context.rs.rotate({ ...options, ...current }));
    if (rotated === null) return null;
    this.#useToken(rotated.token, await maxAge);
    if (options.confirm) this.#confirmed = rotated;
    this.#loaded = this.#loaded?.then((session) => session && { ...session, ref: rotated.ref });
    // The caller of get handles the failure. Without this line the derived promise would be an unhandled rejection.
    this.#loaded?.catch(() => {});
    return rotated;
  }

  /**
   * Records that the session's user was authenticated now: call it when the user has entered the password again. Sets
   * `authTime`, which `auth.required({ within })` checks. Returns the session, or null if there is none.
   *
   * @throws SessionError `impersonated` if the session has an `actor`
   */
  confirm(): Promise<Session<Data> | null>;
  async confirm(given?: unknown): Promise<Session<Data> | null> {
    refuseArgument("confirm", given, "await req.rs.confirm()");
    const current = await this.#current();
    const session = current && (await this.#written(this.#context.rs.confirm(current)));
    if (session === null) return null;
    const { authTime } = session;
    this.#state = "modified";
    this.#loaded = this.#loaded?.then((loaded) => loaded && { ...loaded, authTime });
    // The caller of get handles the failure. Without this line the derived promise would be an unhandled rejection.
    this.#loaded?.catch(() => {});
    return session;
  }

  /**
   * Ends the session and clears the cookie. If the request has several session cookies, the sessions of all are ended.
   *
   * @throws SessionError `headersSent` if the response has begun; the session is kept then
   */
  kill(): Promise<Killed>;
  async kill(given?: unknown): Promise<Killed> {
    refuseArgument("kill", given, "await req.rs.kill(); to end another session, auth.admin.kill({ ref })");
    this.#response.assertWritable();
    const current = await this.#current();
    if (current === null) {
      if (this.#token === undefined) this.#response.clearInvalidLater();
      return { kill: 0 };
    }
    const tokens = [current.token, ...this.#sent.otherThan(this.#token)];
    const killed = await this.#written(this.#killTokens(current.app, tokens));
    if (killed.kill > 0 || typeof this.#context.app === "string") {
      this.#end();
    } else {
      // The token may belong to a session of another app, so the browser keeps it.
      this.#loaded = undefined;
      this.#state = "none";
    }
    return killed;
  }

  /**
   * Returns the sessions of this session's user, newest first. The session of this request has `current: true`. Returns
   * an empty list if there is no session.
   *
   * @param page `limit`: how many to return at most (default: all); `offset`: how many to skip (default 0)
   */
  async devices(page: Pick<SoidOptions, "limit" | "offset"> = {}): Promise<Device<Data>[]> {
    checkNames(OWNERS.devices, page, ["limit", "offset"]);
    const user = await this.#user(this.get());
    if (user === null) return [];
    const { app, id, ref } = user;
    const { sessions } = await this.#context.rs.soid({ ...page, app, id });
    return sessions.map((session) => ({ ...session, current: session.ref === ref }));
  }

  /** Ends the other sessions of this session's user. */
  killOthers(): Promise<Killed>;
  async killOthers(given?: unknown): Promise<Killed> {
    refuseArgument("killOthers", given, "await req.rs.killOthers()");
    const user = await this.#user(this.#loadAndTell(true));
    if (user === null) return { kill: 0 };
    const { app, id, ref } = user;
    return this.#context.rs.killsoid({ app, id, except: ref });
  }

  /**
   * Ends all sessions of this session's user and clears the cookie.
   *
   * @throws SessionError `headersSent` if the response has begun; the sessions are kept then
   */
  killAll(): Promise<Killed>;
  async killAll(given?: unknown): Promise<Killed> {
    refuseArgument("killAll", given, "await req.rs.killAll(); for another user, auth.admin.killsoid(id)");
    this.#response.assertWritable();
    const user = await this.#user(this.#loadAndTell(true));
    if (user === null) return { kill: 0 };
    const { app, id } = user;
    const otherTokens = this.#sent.otherThan(this.#token);
    const killed = await this.#written(this.#context.rs.killsoid({ app, id }));
    // The browser's other cookies may belong to other users.
    const { kill } = await this.#written(this.#killTokens(app, otherTokens));
    this.#end();
    return { kill: killed.kill + kill };
  }

  /** Loads the session as #load does, and calls `onChange` if the session is used from elsewhere. */
  #loadAndTell(touch: boolean): Promise<Session<Data> | null> {
    const { onChange } = this.#context;
    const loaded = this.#load(touch);
    if (onChange === undefined) return loaded;
    return loaded.then(async (session) => {
      const change = this.#change;
      if (change === undefined) return session;
      // The function may call get itself.
      this.#change = undefined;
      await onChange(change, this.#req);
      return this.#state === "ended" ? null : session;
    });
  }

  /**
   * Loads the session once per request, and once more if it must be touched and was not. Rejects during an outage
   * whatever `onOutage` says: a method that ends sessions must not report that there were none.
   */
  #load(touch: boolean): Promise<Session<Data> | null> {
    if (this.#loaded === undefined || (touch && !this.#touched)) {
      this.#touched = touch;
      this.#loaded = this.#fetch(touch);
    }
    return this.#loaded;
  }

  async #fetch(touch: boolean): Promise<Session<Data> | null> {
    const naming = this.#current();
    const current = naming instanceof Promise ? await naming : naming;
    if (current === null) {
      // The request may have a token, but no app.
      if (this.#state === "unmodified") this.#state = "none";
      if (this.#token === undefined) this.#response.clearInvalidLater();
      return null;
    }
    // Almost every request runs this line. `rs.get` would check again what the cookie's signature has proved.
    const sessions = internalsOf(this.#context.rs).sessions(current.app);
    const { token } = current;
    const use = touch ? this.#context.useOf(this.#req) : undefined;
    const origin = use && encodeUse(use);
    const find = (): ReturnType<typeof sessions.findCached> =>
      token === this.#issued
        ? sessions.getCached(refOf(token), touch, undefined, origin)
        : sessions.findCached(token, touch, origin);
    const found = await (isTracing() ? traced("get", current.app, find) : find());
    const session = found instanceof StoredSession ? toSession<Data>(found, Date.now()) : null;
    if (use !== undefined && session !== null && (found as StoredSession).hasMoved) {
      this.#change = { app: current.app, session, ...changeOf(session, use) };
    }
    // A call in the same request has signed in or out meanwhile and has set the cookie.
    if (this.#token !== current.token) return session;
    if (session === null) {
      const absence = found instanceof Absence ? found : undefined;
      this.#state = "none";
      this.#reason = absence?.reason;
      if (!absence?.isRecent && (await this.#mayClearCookie(current))) this.#response.clearLater();
    } else if (touch) this.#response.renew(session, current.token);
    return session;
  }

  /**
   * Whether the cookie of a session that no longer exists may be cleared.
   *
   * Not if another request replaced the session while this one was running: the browser has the new session's cookie by
   * now, or is about to receive it. The tombstone that shows this expires, so after REPLACED_TOMBSTONE_TTL nothing is
   * cleared. Not if the app depends on the request either: the token may belong to another app.
   */
  async #mayClearCookie({ app }: Current): Promise<boolean> {
    if (!this.#response.isByCookie || typeof this.#context.app === "function") return false;
    const sessions = internalsOf(this.#context.rs).sessions(app);
    const others = this.#sent.otherThan(this.#token);
    const isRecent = await Promise.all(others.map((one) => sessions.isRecentlyGone(refOf(one))));
    return !isRecent.includes(true) && performance.now() - this.#receivedAt < REPLACED_TOMBSTONE_TTL;
  }

  /**
   * Returns what the session was created with as `maxAge`. Reads the session if the request has not loaded it yet, in the
   * round trip of the call that follows. If that fails, returns undefined: the next renewal corrects the cookie.
   */
  async #maxAgeOf({ app, token }: Current): Promise<number | null | undefined> {
    if (this.#context.cookie === undefined) return undefined;
    const session = this.#loaded ?? internalsOf(this.#context.rs).sessions(app).get(refOf(token), false);
    return (await session.catch(() => null))?.maxAge;
  }

  /** Keeps the session as a call has changed it. Returns it. */
  #changed(current: Current, session: Session<Data> | null, touched: boolean): Session<Data> | null {
    if (this.#token !== current.token) {
      // A call in the same request has signed in or rotated meanwhile. The next get must load the new session.
      this.#loaded = undefined;
      return session;
    }
    this.#loaded = Promise.resolve(session);
    this.#touched ||= touched;
    this.#state = session === null ? "none" : "modified";
    if (session !== null && touched) this.#response.renew(session, current.token);
    return session;
  }

  /** Waits for a write. A write that failed may have taken effect, so the next get loads the session again. */
  async #written<Result>(writing: Promise<Result>): Promise<Result> {
    try {
      return await writing;
    } catch (error) {
      this.#loaded = undefined;
      throw error;
    }
  }

  #useToken(token: string, maxAge: number | null | undefined): void {
    this.#response.setToken(token, maxAge);
    this.#token = token;
    this.#issued = token;
    this.#state = "modified";
  }

  #end(): void {
    this.#response.clear();
    this.#forgetToken();
  }

  #forgetToken(): void {
    this.#token = undefined;
    this.#state = "ended";
    this.#loaded = undefined;
  }

  /** Returns the session that the request names, or null if it names none. Synchronous if nothing must be asked. */
  #current(): Current | null | Promise<Current | null> {
    const token = this.#token;
    if (token === undefined) return null;
    const app = this.#app();
    if (this.#sent.needsChoice) return this.#chosen(app);
    if (typeof app === "string") return { app, token };
    return app.then((name) => (name === undefined ? null : { app: name, token }));
  }

  /** Names the session for a call. By its ref if the browser does not have the token yet: the call is no use of the token. */
  #whichOf({ app, token }: Current): Which {
    return token === this.#issued ? { app, ref: refOf(token) } : { app, token };
  }

  /** As #current, for a request with several session cookies. */
  async #chosen(asked: string | Promise<string | undefined>): Promise<Current | null> {
    const app = await asked;
    if (app === undefined) return null;
    await this.#sent.choose(internalsOf(this.#context.rs).sessions(app), (cookie) => {
      this.#token = cookie?.token;
      this.#response.setSource(cookie);
    });
    return this.#token === undefined ? null : { app, token: this.#token };
  }

  /** Ends sessions in one round trip. */
  async #killTokens(app: string, tokens: readonly string[]): Promise<Killed> {
    const all = await Promise.all(tokens.map((token) => this.#context.rs.kill({ app, token })));
    return { kill: all.reduce((sum, { kill }) => sum + kill, 0) };
  }

  /** Returns the user of a loaded session, or null if there is no session. */
  async #user(loaded: Promise<Session<Data> | null>): Promise<{ app: string; id: string; ref: string } | null> {
    const session = await loaded;
    // A request that has a session has an app.
    return session && { app: (await this.#app()) as string, id: session.id, ref: session.ref };
  }

  /** Returns the request's app. Calls the option `app` once per request, which may return undefined. */
  #app(): string | Promise<string | undefined> {
    const { app } = this.#context;
    if (typeof app === "string") return app;
    this.#appOfRequest ??= Promise.resolve(app(this.#req)).then((name) => (name === undefined ? name : checkApp(name)));
    return this.#appOfRequest;
  }
}

function encodeUse({ ip, device }: Use): string {
  return encodeOrigin(ip === UNKNOWN ? undefined : ip, device);
}

/** Returns the last two uses of a session. What is unknown of this use is as before. */
function changeOf(
  { ip, device, lastIp = ip, lastDevice = device }: Session<unknown>,
  use: Use,
): { from: Use; to: Use } {
  const from: Use = lastDevice === undefined ? { ip: lastIp } : { ip: lastIp, device: lastDevice };
  return { from, to: { ...from, ...use, ...(use.ip === UNKNOWN && { ip: lastIp }) } };
}

/** Leaves out the limits that are meant for sign-ins of the users themselves. `absolute` can only shorten a session. */
function withoutLimits<Defaults extends Limits>(defaults: Defaults): Omit<Defaults, "ttl" | "maxPerUser" | "overflow"> {
  const { ttl, maxPerUser, overflow, ...others } = defaults;
  return others;
}
/** Refuses assignments such as `req.rs.cart = []`: that data would be lost at the end of the request. */
const unassignable = new Proxy(
  {},
  {
    set(_target, property) {
      // Do not quote a name of another form: it may be a secret in the wrong place.
      const name = /^[A-Za-z_]{1,24}$/.test(String(property)) ? String(property) : undefined;
      throw invalidValue(
        `req.rs${name === undefined ? "[…]" : `.${name}`} = … stores nothing. ` +
          `To store it in the session: await req.rs.set({ ${name ?? "…"}: … })`,
      );
    },
  },
);
// Behind the class's own prototype, so that members are found as fast as without it.
Object.setPrototypeOf(RequestSession.prototype, unassignable);

function nullIfOutage(error: unknown): null {
  if (isOutage(error)) return null;
  throw error;
}

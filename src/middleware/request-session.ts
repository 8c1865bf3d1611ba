import type { IncomingMessage, ServerResponse } from "node:http";
import { checkApp, checkBoolean } from "../engine/checks.js";
import type { RedisSessions } from "../engine/engine.js";
import { internalsOf, REPLACED_TOMBSTONE_TTL } from "../engine/internals.js";
import { OPTION_NAMES } from "../engine/options.js";
import { isOutage, isRefusal, missingParameter } from "../errors.js";
import { toSession } from "../sessions/session-text.js";
import { refOf } from "../sessions/token.js";
import type { Changes, Created, CreateOptions, Killed, Limits, Session, SoidOptions } from "../types.js";
import { omitUndefined } from "../util/objects.js";
import { checkNames } from "../util/rules.js";
import type { Verified } from "./cookie.js";
import { refuseCrossSite } from "./cross-site.js";
import type { AppOf } from "./options.js";
import { type Channels, ResponseToken } from "./response-token.js";

/** Options of the engine's `create` that are the request's own. */
const REQUESTS_OWN = ["app", "id", "nested", "replaces"] as const;

const SIGN_IN = [
  ...OPTION_NAMES.create.filter((name) => !(REQUESTS_OWN as readonly string[]).includes(name)),
  "crossSite",
];

/**
 * What `create` takes beside the user's id: as the engine's, with `ip` and `device` taken from the request, and the
 * request's own session for the one to take the place of.
 */
export type SignInOptions<Data> = {
  [Name in keyof Omit<CreateOptions<Data>, (typeof REQUESTS_OWN)[number]>]?: CreateOptions<Data>[Name] | undefined;
} & {
  /**
   * Whether a page of another site may send the sign-in by POST, as identity providers do with SAML and with OIDC's
   * `form_post`. Then check the `state` or `RelayState` that you sent there, so that nobody signs your visitor in as somebody
   * else. Has no effect where no response sets a token (`cookie: false`). Default false: it is refused with the error `crossSite`.
   */
  crossSite?: boolean | undefined;
};

/** One of the user's sessions. */
export type Device<Data> = Session<Data> & {
  /** Whether it is the session of this request. */
  current: boolean;
};

/**
 * What happened to the request's session so far: there is none, it is as it came, it was written (or is new), or it was
 * ended.
 */
export type SessionState = "none" | "unmodified" | "modified" | "ended";

/** What all requests of a middleware have in common. */
export interface Context<Data extends object> extends Channels {
  readonly rs: RedisSessions<Data>;
  readonly app: string | AppOf;
  /** What a sign-in takes from its request. */
  readonly signIn: (req: IncomingMessage) => Limits & { ip: string; device?: string };
  readonly anonymousOnOutage: boolean;
}

interface Present {
  app: string;
  token: string;
}

/**
 * The session of one request, `req.rs`. It asks Redis for nothing before you do. What was written is in Redis when the
 * promise resolves. While Redis is away methods reject with a SessionError whose `status` is 503.
 */
export class RequestSession<Data extends object> {
  readonly #context: Context<Data>;
  readonly #req: IncomingMessage;
  readonly #reply: ResponseToken;
  readonly #begun = performance.now();
  #token: string | undefined;
  /** The cookies that verify, where there are several of the name; see #choose. */
  readonly #sent: readonly Verified[];
  /** Which of them counts, once that is asked for. */
  #choice: Promise<void> | undefined;
  #state: SessionState;
  #loaded: Promise<Session<Data> | null> | undefined;
  /** Whether what is loaded has been prolonged. */
  #touched = false;
  #askedApp: Promise<string | undefined> | undefined;

  /** @param elsewhere the token that came in another way than the cookie, which goes before it */
  constructor(context: Context<Data>, req: IncomingMessage, res: ServerResponse, elsewhere: string | undefined) {
    this.#context = context;
    this.#req = req;
    const cookie = elsewhere === undefined ? context.cookie : undefined;
    this.#sent = cookie?.read(req) ?? [];
    this.#reply = new ResponseToken(context, req, res, cookie);
    this.#reply.sentIn(this.#sent[0]);
    this.#token = elsewhere ?? this.#sent[0]?.token;
    this.#state = this.#token === undefined ? "none" : "unmodified";
  }

  /**
   * The token that the browser sent or is about to get. Says nothing about whether there is such a session. Of several
   * cookies it is the first one's until a method has looked which of them has a session.
   */
  get token(): string | undefined {
    return this.#token;
  }

  /** What happened to the session so far. Before `get`, a token counts as a session. */
  get state(): SessionState {
    return this.#state;
  }

  /**
   * The session, or null when there is none. Asks Redis once, counts as one read, and prolongs the session; with
   * `touch: false` it does neither (for requests that come by themselves, and shall not keep a session alive), unless
   * the request gets it without that, too.
   */
  async get(options: { touch?: boolean | undefined } = {}): Promise<Session<Data> | null> {
    checkNames("get", options, ["touch"]);
    const loaded = this.#ask(checkBoolean("touch", options.touch ?? true));
    return this.#context.anonymousOnOutage ? loaded.catch(noneInOutage) : loaded;
  }

  /**
   * Merges data into the session, key by key; null removes a key. Values may be any JSON. Gives the session as it is
   * then, or null when there is none, and then nothing is written.
   */
  async set(d: Changes<Data>): Promise<Session<Data> | null> {
    const present = await this.#present();
    if (present === null) return null;
    const session = await this.#written(this.#context.rs.set({ ...present, d, nested: true }));
    if (this.#token !== present.token) {
      // This very request has signed in or rotated meanwhile: the next get shall look again.
      this.#loaded = undefined;
      return session;
    }
    this.#loaded = Promise.resolve(session);
    this.#touched = true;
    this.#state = session === null ? "none" : "modified";
    if (session !== null) this.#reply.renew(session, present.token);
    return session;
  }

  /**
   * Signs a user in: ends the present session (of several cookies, those of all), creates one with a new token, and sets the cookie.
   * @throws SessionError `crossSite` when a page of another site sends it, by another method than GET and HEAD, and
   * `headersSent` when the response has begun; nobody is signed in then
   */
  async create(id: string, options: SignInOptions<Data> = {}): Promise<Created> {
    checkNames("create", options, SIGN_IN);
    const { crossSite = false, ...asked } = options;
    // Where the app hands the token out by itself, no page of another site gets it into a browser.
    if (!checkBoolean("crossSite", crossSite) && this.#context.transport !== undefined) refuseCrossSite(this.#req);
    this.#reply.assertWritable();
    const app = await this.#app();
    if (app === undefined) throw missingParameter("app", "the app function gave none for this request");
    const present = await this.#present();
    const others = this.#others();
    const replaces = present === null ? {} : { replaces: present.token };
    const signIn = { ...this.#context.signIn(this.#req), ...omitUndefined(asked), ...replaces, app, id, nested: true };
    let created: Created;
    try {
      created = await this.#written(this.#context.rs.create(signIn));
    } catch (error) {
      // The present session ends before the new one begins, but not where that is refused, nor while Redis is away.
      if (this.#token !== undefined && !isRefusal(error) && !isOutage(error)) this.#drop();
      throw error;
    }
    this.#loaded = undefined;
    try {
      this.#moveTo(created.token);
    } catch (error) {
      // The response has begun meanwhile: nobody will ever have the token.
      this.#drop();
      await this.#context.rs.kill({ app, token: created.token });
      throw error;
    }
    await this.#kill(app, others);
    return created;
  }

  /**
   * Gives the session a new token, as one does when privileges change; the old one works for another 10 seconds, for
   * the other requests of this browser (`grace`: another number of seconds; 0 ends it at once). Gives null when there is
   * no session, or another request has just rotated it.
   * @throws SessionError `headersSent` when the response has begun; nothing is changed then, unless it began while Redis
   * was asked: then nobody has the new token, and the session ends with its grace
   */
  async rotate(options: { grace?: number | undefined } = {}): Promise<Created | null> {
    this.#reply.assertWritable();
    const present = await this.#present();
    const rotated = present && (await this.#written(this.#context.rs.rotate({ ...options, ...present })));
    if (rotated === null) return null;
    this.#moveTo(rotated.token);
    this.#loaded = this.#loaded?.then((session) => session && { ...session, ref: rotated.ref });
    // Whoever asked for it before knows of the failure already.
    this.#loaded?.catch(() => {});
    return rotated;
  }

  /**
   * Ends the session and clears the cookie. Of a request with several cookies of the name it ends the sessions of all.
   * @throws SessionError `headersSent` when the response has begun; the session goes on then
   */
  async kill(): Promise<Killed> {
    this.#reply.assertWritable();
    const present = await this.#present();
    if (present === null) {
      if (this.#token === undefined) this.#reply.clearBad();
      return { kill: 0 };
    }
    const killed = await this.#written(this.#kill(present.app, [present.token, ...this.#others()]));
    // In another app the token may be good.
    if (killed.kill > 0 || typeof this.#context.app === "string") {
      this.#end();
    } else {
      this.#loaded = undefined;
      this.#state = "none";
    }
    return killed;
  }

  /**
   * The sessions of this session's user, newest first, the present one marked; none when there is no session.
   * @param part at most `limit` of them (default: all), after the first `offset` (default 0)
   */
  async devices(part: Pick<SoidOptions, "limit" | "offset"> = {}): Promise<Device<Data>[]> {
    checkNames("devices", part, ["limit", "offset"]);
    const user = await this.#user(this.get());
    if (user === null) return [];
    const { app, id, ref } = user;
    const { sessions } = await this.#context.rs.soid({ ...part, app, id });
    return sessions.map((one) => ({ ...one, current: one.ref === ref }));
  }

  /** Ends all sessions of this session's user but this one. */
  async killOthers(): Promise<Killed> {
    const user = await this.#user(this.#ask(true));
    if (user === null) return { kill: 0 };
    const { app, id, ref } = user;
    return this.#context.rs.killsoid({ app, id, except: ref });
  }

  /**
   * Ends all sessions of this session's user and clears the cookie.
   * @throws SessionError `headersSent` when the response has begun; the sessions go on then
   */
  async killAll(): Promise<Killed> {
    this.#reply.assertWritable();
    const user = await this.#user(this.#ask(true));
    if (user === null) return { kill: 0 };
    const { app, id } = user;
    const others = this.#others();
    const killed = await this.#written(this.#context.rs.killsoid({ app, id }));
    // Those of other users, whose cookies the browser has as well.
    const { kill } = await this.#written(this.#kill(app, others));
    this.#end();
    return { kill: killed.kill + kill };
  }

  /** As `get`, but rejects in any case while Redis is away: to those who end sessions "none" would be no answer. */
  #ask(touch: boolean): Promise<Session<Data> | null> {
    if (this.#loaded === undefined || (touch && !this.#touched)) {
      this.#touched = touch;
      this.#loaded = this.#load(touch);
    }
    return this.#loaded;
  }

  async #load(touch: boolean): Promise<Session<Data> | null> {
    const present = await this.#present();
    if (present === null) {
      // There may be a token, but no app that it belongs to.
      if (this.#state === "unmodified") this.#state = "none";
      if (this.#token === undefined) this.#reply.clearBad();
      return null;
    }
    // On the path of every request: not through `rs.get`, which would check once more what the cookie has passed.
    const stored = await internalsOf(this.#context.rs).sessions(present.app).get(refOf(present.token), touch);
    const session = stored && toSession<Data>(stored, Date.now());
    // This very request has signed in or out meanwhile, and set the cookie as it shall be.
    if (this.#token !== present.token) return session;
    if (session === null) {
      this.#state = "none";
      if (await this.#isForgettable(present)) this.#reply.clear();
    } else if (touch) this.#reply.renew(session, present.token);
    return session;
  }

  /**
   * Whether a cookie of which the session is gone may be cleared. Not when the session has made way for another since
   * the request came: the browser has, or is about to get, that one's cookie. That is known for a while only. Nor where
   * the app depends on the request: in another app the token may be good.
   */
  async #isForgettable({ app, token }: { app: string; token: string }): Promise<boolean> {
    if (!this.#reply.isByCookie || typeof this.#context.app === "function") return false;
    const sessions = internalsOf(this.#context.rs).sessions(app);
    const marked = await Promise.all([token, ...this.#others()].map((one) => sessions.hasTombstone(refOf(one))));
    return !marked.includes(true) && performance.now() - this.#begun < REPLACED_TOMBSTONE_TTL;
  }

  /** Waits for a write. Of one that failed nobody may know whether it took effect: the next get looks again. */
  async #written<Result>(writing: Promise<Result>): Promise<Result> {
    try {
      return await writing;
    } catch (error) {
      this.#loaded = undefined;
      throw error;
    }
  }

  #moveTo(token: string): void {
    this.#reply.give(token);
    this.#token = token;
    this.#state = "modified";
  }

  #end(): void {
    this.#reply.forget();
    this.#drop();
  }

  #drop(): void {
    this.#token = undefined;
    this.#state = "ended";
    this.#loaded = undefined;
  }

  /** The session that the request names, if it names one. */
  #present(): Present | null | Promise<Present | null> {
    const token = this.#token;
    if (token === undefined) return null;
    const app = this.#app();
    if (this.#sent.length > 1) return this.#presentOfSeveral(app);
    if (typeof app === "string") return { app, token };
    return app.then((name) => (name === undefined ? null : { app: name, token }));
  }

  async #presentOfSeveral(asked: string | Promise<string | undefined>): Promise<Present | null> {
    const app = await asked;
    if (app === undefined) return null;
    this.#choice ??= this.#choose(app);
    try {
      await this.#choice;
    } catch (error) {
      this.#choice = undefined;
      throw error;
    }
    return this.#token === undefined ? null : { app, token: this.#token };
  }

  /**
   * Finds the first of several cookies whose session lives, in one round trip that leaves no trace in any of them. When
   * there is none, the first cookie counts.
   */
  async #choose(app: string): Promise<void> {
    const sessions = internalsOf(this.#context.rs).sessions(app);
    const found = await Promise.all(this.#sent.map(({ token }) => sessions.get(refOf(token), false)));
    const living = found.findIndex((session) => session !== null);
    // An old token leads to the session while it has grace, but only the session's own can be rotated.
    const own = this.#sent.find(({ token }) => refOf(token) === found[living]?.ref);
    const chosen = own ?? this.#sent[Math.max(living, 0)];
    this.#token = chosen?.token;
    this.#reply.sentIn(chosen);
  }

  /**
   * The tokens of the request's other cookies. Whoever signs out, or in as somebody else, would still be signed in by one
   * that the browser sends next time.
   */
  #others(): string[] {
    if (this.#sent.length < 2) return [];
    return this.#sent.flatMap(({ token }) => (token === this.#token ? [] : token));
  }

  /** Ends sessions, in one round trip. */
  async #kill(app: string, tokens: readonly string[]): Promise<Killed> {
    const all = await Promise.all(tokens.map((token) => this.#context.rs.kill({ app, token })));
    return { kill: all.reduce((sum, { kill }) => sum + kill, 0) };
  }

  /** Whose session the request's is, if it has one. */
  async #user(asked: Promise<Session<Data> | null>): Promise<{ app: string; id: string; ref: string } | null> {
    const session = await asked;
    // What has a session has an app.
    return session && { app: (await this.#app()) as string, id: session.id, ref: session.ref };
  }

  /** The request's app, asked for once; undefined when the app function gives none. */
  #app(): string | Promise<string | undefined> {
    const { app } = this.#context;
    if (typeof app === "string") return app;
    this.#askedApp ??= Promise.resolve(app(this.#req)).then((name) => (name === undefined ? name : checkApp(name)));
    return this.#askedApp;
  }
}

/** For those to whom a session that cannot be asked for is none. */
function noneInOutage(error: unknown): null {
  if (isOutage(error)) return null;
  throw error;
}

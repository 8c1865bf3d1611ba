import type { IncomingMessage, ServerResponse } from "node:http";
import type { RedisSessions } from "../engine/engine.js";
import type { Changes, Created, CreateOptions, Session } from "../engine/types.js";
import type { SessionCookie } from "./cookie.js";
import { addressOf } from "./request.js";

/** What `create` takes beside the user's id: as the engine's, with `ip` taken from the request. */
export type SignInOptions<Data> = Partial<Omit<CreateOptions<Data>, "app" | "id" | "nested">>;

/** What a request's session needs to know. */
export interface Context<Data extends object> {
  readonly rs: RedisSessions<Data>;
  readonly app: string;
  readonly cookie: SessionCookie | undefined;
  readonly ttl: number | undefined;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}

/**
 * The session of one request, `req.rs`. It asks Redis for nothing before you do. What was written is in Redis when
 * the promise resolves.
 */
export class RequestSession<Data extends object> {
  readonly #context: Context<Data>;
  #token: string | undefined;
  #loaded: Promise<Session<Data> | null> | undefined;

  constructor(context: Context<Data>, token: string | undefined) {
    this.#context = context;
    this.#token = token;
  }

  /** The token that the browser sent or is about to get. Says nothing about whether there is such a session. */
  get token(): string | undefined {
    return this.#token;
  }

  /** The session, or null when there is none. Asks Redis once, counts as one read, and prolongs the session. */
  get(): Promise<Session<Data> | null> {
    const { rs, app } = this.#context;
    this.#loaded ??= this.#token === undefined ? Promise.resolve(null) : rs.get({ app, token: this.#token });
    return this.#loaded;
  }

  /**
   * Merges data into the session, key by key; null removes a key. Values may be any JSON. Gives the session as it is
   * then, or null when there is none, and then nothing is written.
   */
  async set(d: Changes<Data>): Promise<Session<Data> | null> {
    const { rs, app } = this.#context;
    if (this.#token === undefined) return null;
    const session = await rs.set({ app, token: this.#token, d, nested: true });
    this.#loaded = Promise.resolve(session);
    return session;
  }

  /**
   * Signs a user in: ends the present session, creates one with a new token, and sets the cookie.
   * @throws SessionError `headersSent` when the response has begun; nothing is changed then
   */
  async create(id: string, options: SignInOptions<Data> = {}): Promise<Created> {
    const { rs, app, cookie, ttl, req, res } = this.#context;
    cookie?.assertSettable(res);
    if (this.#token !== undefined) await rs.kill({ app, token: this.#token });
    const defaults = { ip: addressOf(req), ...(ttl !== undefined && { ttl }) };
    const created = await rs.create({ ...defaults, ...options, app, id, nested: true });
    cookie?.write(req, res, created.token);
    this.#token = created.token;
    this.#loaded = undefined;
    return created;
  }

  /**
   * Ends the session and clears the cookie. Gives whether there was one.
   * @throws SessionError `headersSent` when the response has begun; the session goes on then
   */
  async kill(): Promise<boolean> {
    const { rs, app, cookie, req, res } = this.#context;
    if (this.#token === undefined) return false;
    cookie?.assertSettable(res);
    const { kill } = await rs.kill({ app, token: this.#token });
    cookie?.clear(req, res);
    this.#token = undefined;
    this.#loaded = undefined;
    return kill === 1;
  }
}

import type { RedisSessions } from "../engine/engine.js";
import { invalidValue } from "../errors.js";
import type {
  Activity,
  ActivityOptions,
  Incremented,
  IncrementOptions,
  Killed,
  KillOptions,
  KillsoidOptions,
  Session,
  SessionList,
  SetAllOptions,
  SetOptions,
  SoappOptions,
  SoidOptions,
  TouchOptions,
  Written,
} from "../types.js";

type InApp<Options> = Options extends unknown ? Omit<Options, "app" | "nested"> : never;

/** The engine's methods that list, change and end sessions, for the middleware's app. Data values may be any JSON. */
export interface Admin<Data> {
  /** Returns the sessions of a user, newest first. */
  soid(options: InApp<SoidOptions>): Promise<SessionList<Data>>;
  /** Returns the sessions that were active in the last `dt` seconds, the most recently active first. */
  soapp(options: InApp<SoappOptions>): Promise<SessionList<Data>>;
  /** Returns how many users were active in the last `dt` seconds. */
  activity(options: InApp<ActivityOptions>): Promise<Activity>;
  /**
   * Merges data into the session with a token or a ref. Returns the changed session, or null if it does not exist. With
   * `touch: false` the write does not count as the user's activity.
   */
  set(options: InApp<SetOptions<Data>>): Promise<Session<Data> | null>;
  /** Merges data into all sessions of a user, which does not count as the user's activity. Returns how many were changed. */
  setAll(options: InApp<SetAllOptions<Data>>): Promise<Written>;
  /** Adds to an integer in the data of the session with a token or a ref. Returns null if it does not exist. */
  increment(options: InApp<IncrementOptions>): Promise<Incremented | null>;
  /**
   * Prolongs the session with a token or a ref, and may set another `ttl`. Returns the session, or null if it does not
   * exist.
   */
  touch(options: InApp<TouchOptions>): Promise<Session<Data> | null>;
  /** Ends the session with a token or a ref. */
  kill(options: InApp<KillOptions>): Promise<Killed>;
  /**
   * Ends all sessions of a user, except the one with the ref `except`. If the user has no such session, all are ended.
   */
  killsoid(options: InApp<KillsoidOptions>): Promise<Killed>;
  /** Ends all sessions of the app. */
  killall(): Promise<Killed>;
}

/**
 * The engine's methods that list, change and end sessions, for a middleware with many apps: each call names its `app`.
 * Pass `nested: true` for data values that are objects or arrays.
 */
export type TenantAdmin<Data extends object> = Pick<
  RedisSessions<Data>,
  "soid" | "soapp" | "activity" | "set" | "setAll" | "increment" | "touch" | "kill" | "killsoid" | "killall"
>;

export function adminOf<Data extends object>(rs: RedisSessions<Data>, app: string): Admin<Data> {
  /** @throws SessionError `invalidValue` if the options name another app, whose sessions the caller must have meant */
  function inApp(options: object | undefined): never {
    const named = (options as { app?: unknown } | undefined)?.app ?? app;
    if (named !== app) throw invalidValue(`admin is for the app "${app}": leave out app, or use the engine's methods`);
    return { ...options, app } as never;
  }
  return {
    soid: async (options) => rs.soid(inApp(options)),
    soapp: async (options) => rs.soapp(inApp(options)),
    activity: async (options) => rs.activity(inApp(options)),
    set: async (options) => rs.set(inApp({ nested: true, ...options })),
    setAll: async (options) => rs.setAll(inApp({ nested: true, ...options })),
    increment: async (options) => rs.increment(inApp(options)),
    touch: async (options) => rs.touch(inApp(options)),
    kill: async (options) => rs.kill(inApp(options)),
    killsoid: async (options) => rs.killsoid(inApp(options)),
    // killall has no options. Pass them on nevertheless, so that the engine refuses them.
    killall: async (options?: object) => rs.killall(inApp(options)),
  };
}

export function tenantAdminOf<Data extends object>(rs: RedisSessions<Data>): TenantAdmin<Data> {
  const { soid, soapp, activity, set, setAll, increment, touch, kill, killsoid, killall } = rs;
  return { soid, soapp, activity, set, setAll, increment, touch, kill, killsoid, killall };
}

import type { RedisSessions } from "../engine/engine.js";
import { invalidValue } from "../errors.js";
import type {
  Activity,
  ActivityOptions,
  Changes,
  ConfirmOptions,
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
import { assertOptions, type OptionsOwner } from "../util/rules.js";

type InApp<Options> = Options extends unknown ? Omit<Options, "app" | "nested"> : never;

/** The engine's methods that list, change and end sessions, for the middleware's app. Data values may be any JSON. */
export interface Admin<Data> {
  /** Returns the sessions of a user, newest first. */
  soid(options: InApp<SoidOptions>): Promise<SessionList<Data>>;
  /** The same, with the user's id as its own argument: `soid("alice", { limit: 10 })`. */
  soid(id: string | number, part?: Pick<SoidOptions, "limit" | "offset">): Promise<SessionList<Data>>;
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
  /** The same, with the user's id and the data as its own arguments: `setAll("alice", { role: "editor" })`. */
  setAll(id: string | number, d: Changes<Data>): Promise<Written>;
  /** Adds to an integer in the data of the session with a token or a ref. Returns null if it does not exist. */
  increment(options: InApp<IncrementOptions>): Promise<Incremented | null>;
  /**
   * Prolongs the session with a token or a ref, and may set another `ttl`. Returns the session, or null if it does not
   * exist.
   */
  touch(options: InApp<TouchOptions>): Promise<Session<Data> | null>;
  /** Records that the user of the session with a token or a ref was authenticated now. Returns null if it does not exist. */
  confirm(options: InApp<ConfirmOptions>): Promise<Session<Data> | null>;
  /** Ends the session with a token or a ref. */
  kill(options: InApp<KillOptions>): Promise<Killed>;
  /**
   * Ends all sessions of a user, except the one with the ref `except`. If the user has no such session, all are ended.
   */
  killsoid(options: InApp<KillsoidOptions>): Promise<Killed>;
  /** The same, with the user's id as its own argument: `killsoid("alice", { except: ref })`. */
  killsoid(id: string | number, options?: Pick<KillsoidOptions, "except">): Promise<Killed>;
  /** Ends all sessions of the app. */
  killall(): Promise<Killed>;
  /** The same as `soid`. */
  readonly userSessions: Admin<Data>["soid"];
  /** The same as `soapp`. */
  readonly activeSessions: Admin<Data>["soapp"];
  /** The same as `killsoid`. */
  readonly killUser: Admin<Data>["killsoid"];
  /** The same as `killall`. */
  readonly killAll: Admin<Data>["killall"];
}

/**
 * The engine's methods that list, change and end sessions, for a middleware with many apps: each call names its `app`.
 * Pass `nested: true` for data values that are objects or arrays.
 */
export type TenantAdmin<Data extends object> = Pick<
  RedisSessions<Data>,
  | "soid"
  | "soapp"
  | "activity"
  | "set"
  | "setAll"
  | "increment"
  | "touch"
  | "confirm"
  | "kill"
  | "killsoid"
  | "killall"
  | "userSessions"
  | "activeSessions"
  | "killUser"
  | "killAll"
>;

const OWNERS = {
  soid: { name: "soid", call: "auth.admin.soid(id, { limit })" },
  soapp: { name: "soapp", call: "auth.admin.soapp({ dt })" },
  activity: { name: "activity", call: "auth.admin.activity({ dt })" },
  set: { name: "set", call: "auth.admin.set({ ref, d })" },
  setAll: { name: "setAll", call: "auth.admin.setAll(id, d)" },
  increment: { name: "increment", call: "auth.admin.increment({ ref, key })" },
  touch: { name: "touch", call: "auth.admin.touch({ ref, ttl })" },
  confirm: { name: "confirm", call: "auth.admin.confirm({ ref })" },
  kill: { name: "kill", call: "auth.admin.kill({ ref })" },
  killsoid: { name: "killsoid", call: "auth.admin.killsoid(id, { except })" },
  killall: { name: "killall", call: "auth.admin.killall(), or auth.admin.killsoid(id) for one user" },
} satisfies Record<string, OptionsOwner>;

export function adminOf<Data extends object>(rs: RedisSessions<Data>, app: string): Admin<Data> {
  /** @throws SessionError `invalidValue` if the options name another app, whose sessions the caller must have meant */
  function inApp(method: keyof typeof OWNERS, options: unknown = {}): never {
    assertOptions(OWNERS[method], options);
    const named = (options as { app?: unknown }).app ?? app;
    if (named !== app) throw invalidValue(`admin is for the app "${app}": leave out app, or use the engine's methods`);
    return { ...options, app } as never;
  }

  /** As inApp, for a method that may be passed the user's id as its own argument. */
  function ofUser(method: "soid" | "setAll" | "killsoid", user: unknown, options: unknown): never {
    if (typeof user !== "string" && typeof user !== "number") return inApp(method, user);
    return { ...(inApp(method, options) as object), id: user } as never;
  }

  /** Lets the values of `d` be any JSON, as in `req.rs`. */
  function anyJson(options: object): never {
    return { nested: true, ...options } as never;
  }

  const methods = {
    soid: async (user: unknown, part?: unknown) => rs.soid(ofUser("soid", user, part)),
    soapp: async (options) => rs.soapp(inApp("soapp", options)),
    activity: async (options) => rs.activity(inApp("activity", options)),
    set: async (options) => rs.set(anyJson(inApp("set", options))),
    setAll: async (user: unknown, d?: unknown) => rs.setAll(anyJson(ofUser("setAll", user, { d }))),
    increment: async (options) => rs.increment(inApp("increment", options)),
    touch: async (options) => rs.touch(inApp("touch", options)),
    confirm: async (options) => rs.confirm(inApp("confirm", options)),
    kill: async (options) => rs.kill(inApp("kill", options)),
    killsoid: async (user: unknown, options?: unknown) => rs.killsoid(ofUser("killsoid", user, options)),
    // killall has no options. Pass them on nevertheless, so that the engine refuses them.
    killall: async (options?: object) => rs.killall(inApp("killall", options)),
  } satisfies Partial<Admin<Data>>;
  const { soid, soapp, killsoid, killall } = methods;
  return { ...methods, userSessions: soid, activeSessions: soapp, killUser: killsoid, killAll: killall };
}

export function tenantAdminOf<Data extends object>(rs: RedisSessions<Data>): TenantAdmin<Data> {
  const { soid, soapp, activity, set, setAll, increment, touch, confirm, kill, killsoid, killall } = rs;
  const { userSessions, activeSessions, killUser, killAll } = rs;
  return {
    ...{ soid, soapp, activity, set, setAll, increment, touch, confirm, kill, killsoid, killall },
    ...{ userSessions, activeSessions, killUser, killAll },
  };
}

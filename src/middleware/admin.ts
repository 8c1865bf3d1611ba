import type { RedisSessions } from "../engine/engine.js";
import { invalidValue } from "../errors.js";
import type {
  Activity,
  ActivityOptions,
  Killed,
  KillOptions,
  KillsoidOptions,
  SessionList,
  SoappOptions,
  SoidOptions,
} from "../types.js";

type InApp<Options> = Options extends unknown ? Omit<Options, "app"> : never;

/** The engine's methods for lists and for ending sessions, with the middleware's app filled in. */
export interface Admin<Data> {
  /** The sessions of a user, newest first. */
  soid(options: InApp<SoidOptions>): Promise<SessionList<Data>>;
  /** The sessions that were active in the last `dt` seconds, most recently active first. */
  soapp(options: InApp<SoappOptions>): Promise<SessionList<Data>>;
  /** How many users were active in the last `dt` seconds. */
  activity(options: InApp<ActivityOptions>): Promise<Activity>;
  /** Ends a session, by token or ref. */
  kill(options: InApp<KillOptions>): Promise<Killed>;
  /** Ends all sessions of a user, or all but `except`. If that is none of theirs, all end. */
  killsoid(options: InApp<KillsoidOptions>): Promise<Killed>;
  /** Ends all sessions of the app. */
  killall(): Promise<Killed>;
}

/** The engine's own methods, where the middleware serves many apps: each call names its `app`. */
export type TenantAdmin<Data extends object> = Pick<
  RedisSessions<Data>,
  "soid" | "soapp" | "activity" | "kill" | "killsoid" | "killall"
>;

export function adminOf<Data extends object>(rs: RedisSessions<Data>, app: string): Admin<Data> {
  /** @throws SessionError `invalidValue` for another app: this one's sessions are not what was meant */
  function inApp(options: object | undefined): never {
    const meant = (options as { app?: unknown } | undefined)?.app ?? app;
    if (meant !== app) throw invalidValue(`admin is for the app "${app}": leave out app, or use the engine's methods`);
    return { ...options, app } as never;
  }
  return {
    soid: async (options) => rs.soid(inApp(options)),
    soapp: async (options) => rs.soapp(inApp(options)),
    activity: async (options) => rs.activity(inApp(options)),
    kill: async (options) => rs.kill(inApp(options)),
    killsoid: async (options) => rs.killsoid(inApp(options)),
    // Takes none, but somebody may give it some.
    killall: async (options?: object) => rs.killall(inApp(options)),
  };
}

export function tenantAdminOf<Data extends object>(rs: RedisSessions<Data>): TenantAdmin<Data> {
  const { soid, soapp, activity, kill, killsoid, killall } = rs;
  return { soid, soapp, activity, kill, killsoid, killall };
}

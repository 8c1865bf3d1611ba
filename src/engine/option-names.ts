import type {
  ActivityOptions,
  CreateOptions,
  GetOptions,
  KillallOptions,
  KillOptions,
  KillsoidOptions,
  RotateOptions,
  Session,
  SessionsOfAppOptions,
  SetOptions,
  SoappOptions,
  SoidOptions,
} from "../types.js";
import { checkNames } from "../util/rules.js";

type NameOf<Options> = Options extends unknown ? keyof Options : never;

interface MethodOptions {
  create: CreateOptions;
  get: GetOptions;
  set: SetOptions;
  kill: KillOptions;
  killsoid: KillsoidOptions;
  killall: KillallOptions;
  soid: SoidOptions;
  soapp: SoappOptions;
  sessions: SessionsOfAppOptions;
  activity: ActivityOptions;
  rotate: RotateOptions;
}

/** A method that takes options. */
export type MethodName = keyof MethodOptions;

/** The options of each method. As keys, so that TypeScript tells of one that is missing. */
const NAMES: { readonly [Method in MethodName]: { readonly [Name in NameOf<MethodOptions[Method]>]: true } } = {
  create: {
    app: true,
    id: true,
    ip: true,
    ttl: true,
    d: true,
    nested: true,
    no_resave: true,
    device: true,
    absolute: true,
    maxPerUser: true,
    overflow: true,
    replaces: true,
  },
  get: { app: true, token: true, ref: true, touch: true },
  set: { app: true, token: true, ref: true, d: true, nested: true },
  kill: { app: true, token: true, ref: true },
  killsoid: { app: true, id: true, except: true },
  killall: { app: true },
  soid: { app: true, id: true, limit: true, offset: true },
  soapp: { app: true, dt: true, deltaTime: true, limit: true, offset: true },
  sessions: { app: true, dt: true, deltaTime: true },
  activity: { app: true, dt: true, deltaTime: true },
  rotate: { app: true, token: true, grace: true },
};

/** The names of each method's options. */
export const OPTION_NAMES: Readonly<Record<MethodName, readonly string[]>> = Object.fromEntries(
  Object.entries(NAMES).map(([method, names]) => [method, Object.keys(names)]),
) as never;

/** What a session tells of itself. */
const OF_A_SESSION: readonly (keyof Session)[] = [
  "ref",
  "id",
  "ip",
  "r",
  "w",
  "ttl",
  "idle",
  "created",
  "device",
  "no_resave",
  "d",
];

/** Those that take a session's ref or id take the whole of it: `kill({ app, ...session })`. See also fixed-fields.ts. */
const TAKE_A_SESSION: readonly MethodName[] = ["get", "set", "kill", "killsoid", "soid"];

/** A misspelt `except` or limit would be none. @throws SessionError `invalidValue` that names the one that was meant */
export function checkOptionNames(method: MethodName, options: object): void {
  checkNames(method, options, OPTION_NAMES[method], TAKE_A_SESSION.includes(method) ? OF_A_SESSION : []);
}

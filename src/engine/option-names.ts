import { checkNames } from "./check-options.js";
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
} from "./types.js";

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

const NAMES: { readonly [Method in MethodName]: readonly NameOf<MethodOptions[Method]>[] } = {
  create: [
    "app",
    "id",
    "ip",
    "ttl",
    "d",
    "nested",
    "no_resave",
    "device",
    "absolute",
    "maxPerUser",
    "overflow",
    "instead",
  ],
  get: ["app", "token", "ref", "touch"],
  set: ["app", "token", "ref", "d", "nested"],
  kill: ["app", "token", "ref"],
  killsoid: ["app", "id", "except"],
  killall: ["app"],
  soid: ["app", "id"],
  soapp: ["app", "dt", "deltaTime", "limit", "offset"],
  sessions: ["app", "dt", "deltaTime"],
  activity: ["app", "dt", "deltaTime"],
  rotate: ["app", "token", "grace"],
};

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

/** Those that read a session's ref or id look past the rest of it: `kill({ app, ...session })` does what it says. */
const TAKE_A_SESSION: readonly MethodName[] = ["get", "set", "kill", "killsoid", "soid"];

/** A misspelt `except` or limit would be none. @throws SessionError `invalidValue` that names the one that was meant */
export function checkOptionNames(method: MethodName, options: object): void {
  checkNames(method, options, NAMES[method], TAKE_A_SESSION.includes(method) ? OF_A_SESSION : []);
}

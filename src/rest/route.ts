import type { RedisSessions } from "../engine/engine.js";
import type { Input } from "./input.js";

/** An operation of the interface. The router serves it, and openapi.json describes it. */
export interface Route {
  readonly method: "get" | "put" | "post" | "delete";
  /** A path of Express. A parameter must be a whole segment, so that the path can be converted for OpenAPI. */
  readonly path: string;
  readonly name: string;
  readonly summary: string;
  /** Whether it is forbidden for a read-only key. */
  readonly writes: boolean;
  /** The names of its query parameters. */
  readonly query: readonly QueryName[];
  /** Whether its body is optional or required. Undefined if it takes no body. */
  readonly body?: "optional" | "required";
  /** Whether its `:token` must be a token and not a ref. */
  readonly tokenOnly?: true;
  /** The schema of its response in openapi.json. */
  readonly answer: "Created" | "Session" | "Incremented" | "Sessions" | "Activity" | "Written" | "Killed";
  /** Whether it answers `{}` if the session does not exist. */
  readonly mayBeEmpty?: true;
  run(rs: RedisSessions, input: Input): Promise<object | null>;
}

export type QueryName =
  | "ip"
  | "ttl"
  | "device"
  | "no_resave"
  | "maxAge"
  | "absolute"
  | "maxPerUser"
  | "overflow"
  | "actor"
  | "touch"
  | "key"
  | "by"
  | "max"
  | "dt"
  | "limit"
  | "offset"
  | "except"
  | "grace"
  | "confirm";

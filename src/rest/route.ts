import type { RedisSessions } from "../engine/engine.js";
import type { Input } from "./input.js";

/** One operation of the interface: the router serves it, and openapi.json describes it. */
export interface Route {
  readonly method: "get" | "put" | "post" | "delete";
  /** As Express and OpenAPI both can be told it: `:name` in a segment of its own. */
  readonly path: string;
  readonly name: string;
  readonly summary: string;
  /** Whether it changes what a read-only key must not change. */
  readonly writes: boolean;
  /** Parameters of the query. */
  readonly query: readonly QueryName[];
  /** Whether it takes a body, and whether that must be there. */
  readonly body?: "optional" | "required";
  /** Whether its `:token` cannot be a ref. */
  readonly tokenOnly?: true;
  /** The name of its answer among openapi.json's schemas. */
  readonly answer: "Created" | "Session" | "Sessions" | "Activity" | "Killed";
  /** Whether it answers `{}` when there is no such session. */
  readonly mayBeEmpty?: true;
  run(rs: RedisSessions, input: Input): Promise<object | null>;
}

export type QueryName =
  | "ip"
  | "ttl"
  | "device"
  | "no_resave"
  | "absolute"
  | "maxPerUser"
  | "overflow"
  | "touch"
  | "dt"
  | "limit"
  | "offset"
  | "except"
  | "grace";

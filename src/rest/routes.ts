import { listsOf, type RedisSessions } from "../engine/engine.js";
import { given } from "../engine/given.js";
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

export const routes: readonly Route[] = [
  {
    method: "put",
    path: "/:app/create/:id",
    name: "create",
    summary: "Create a session. The body is its data.",
    writes: true,
    query: ["ip", "ttl", "device", "no_resave", "absolute", "maxPerUser", "overflow"],
    body: "optional",
    answer: "Created",
    run: (rs, input) =>
      rs.create({
        app: input.app,
        id: input.id,
        ip: input.text("ip") as string,
        ttl: input.number("ttl"),
        device: input.text("device"),
        no_resave: input.boolean("no_resave"),
        absolute: input.number("absolute"),
        maxPerUser: input.number("maxPerUser"),
        // What is neither of the two the engine refuses.
        overflow: input.text("overflow") as "oldest" | "reject" | undefined,
        d: input.body,
      }),
  },
  {
    method: "get",
    path: "/:app/get/:token",
    name: "get",
    summary: "Read a session, and prolong it unless touch=false.",
    writes: false,
    query: ["touch"],
    answer: "Session",
    mayBeEmpty: true,
    run: (rs, input) => rs.get({ ...input.which, touch: input.boolean("touch") }),
  },
  {
    method: "post",
    path: "/:app/set/:token",
    name: "set",
    summary: "Merge data into a session; null removes a key.",
    writes: true,
    query: [],
    body: "required",
    answer: "Session",
    mayBeEmpty: true,
    run: (rs, input) => rs.set({ ...input.which, d: input.body ?? {} }),
  },
  {
    method: "post",
    path: "/:app/rotate/:token",
    name: "rotate",
    summary: "Give a session a new token; the old one goes on working for `grace` seconds.",
    writes: true,
    query: ["grace"],
    tokenOnly: true,
    answer: "Created",
    mayBeEmpty: true,
    run: (rs, input) => rs.rotate({ app: input.app, token: input.token, grace: input.number("grace") }),
  },
  {
    method: "get",
    path: "/:app/soid/:id",
    name: "soid",
    summary: "The sessions of a user, newest first.",
    writes: false,
    query: ["limit", "offset"],
    answer: "Sessions",
    run: (rs, input) => listsOf(rs).soid({ app: input.app, id: input.id, ...input.part }),
  },
  {
    method: "get",
    path: "/:app/soapp",
    name: "soapp",
    summary: "The sessions that were active in the last `dt` seconds, most recently active first.",
    writes: false,
    query: ["dt", "limit", "offset"],
    answer: "Sessions",
    run: (rs, input) =>
      listsOf(rs).soapp({
        app: input.app,
        ...input.span,
        ...input.part,
      }),
  },
  {
    method: "get",
    path: "/:app/activity",
    name: "activity",
    summary: "How many users were active in the last `dt` seconds.",
    writes: false,
    query: ["dt"],
    answer: "Activity",
    run: (rs, input) => rs.activity({ app: input.app, ...input.span }),
  },
  {
    method: "delete",
    path: "/:app/kill/:token",
    name: "kill",
    summary: "End a session.",
    writes: true,
    query: [],
    answer: "Killed",
    run: (rs, input) => rs.kill(input.which),
  },
  {
    method: "delete",
    path: "/:app/killsoid/:id",
    name: "killsoid",
    summary: "End all sessions of a user, or all but one.",
    writes: true,
    query: ["except"],
    answer: "Killed",
    run: (rs, input) => rs.killsoid({ app: input.app, id: input.id, ...given({ except: input.text("except") }) }),
  },
  {
    method: "delete",
    path: "/:app/killall",
    name: "killall",
    summary: "End all sessions of the app.",
    writes: true,
    query: [],
    answer: "Killed",
    run: (rs, input) => rs.killall({ app: input.app }),
  },
];

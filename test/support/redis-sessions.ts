import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/** The parts of redis-sessions that the tests use, with promises. */
export interface ForeignEngine {
  create(options: object): Promise<{ token: string }>;
  get(options: object): Promise<Record<string, unknown> | null>;
  set(options: object): Promise<unknown>;
  quit(): unknown;
}

/** Each loads a version when it is needed. Versions 2 and 3 have no types. */
const LOAD = {
  2: () => require("redis-sessions2"),
  3: () => require("redis-sessions3"),
  4: () => require("redis-sessions4").default,
};

export const VERSIONS = ["2", "3", "4"] as const;

/** Opens redis-sessions 2, 3 or 4 on the server on a port. */
export function openRedisSessions(version: (typeof VERSIONS)[number], port: number, namespace = "rs"): ForeignEngine {
  const RedisSessions = LOAD[version]();
  const rs = new RedisSessions({ port, namespace, wipe: 0 });
  if (version === "4") return rs;
  const call = (name: string) => (options: object) =>
    new Promise((resolve, reject) => {
      rs[name]({ ...options }, (error: unknown, result: unknown) => (error ? reject(error) : resolve(result)));
    });
  return {
    create: call("create") as ForeignEngine["create"],
    get: call("get") as ForeignEngine["get"],
    set: call("set") as ForeignEngine["set"],
    quit: () => rs.quit(),
  };
}

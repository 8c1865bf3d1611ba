import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Created, RedisSessions, type Session } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { heardSoFar } from "../support/heard.js";

/**
 * Two engines with a cache stand for two processes. Whatever they do, each reads what an engine without a cache reads at the same
 * time. What another process did is read as soon as its announcement has come.
 */
const t = useEngine();
const app = "webapp";
const CHANNEL = `rs:{${app}}:changes`;
const IDS = ["alice", "bob"] as const;

let engines: RedisSessions[];
beforeAll(() => {
  engines = [0, 1].map(() => new RedisSessions({ client: t.redis.client(), wipe: 0, cachetime: 600, cachemax: 4 }));
});
afterAll(() => Promise.all(engines.map((rs) => rs.quit())));

/** `by` is the engine that makes the call, `pick` one of the sessions so far, alive or not. */
const step = fc.record({
  by: fc.nat(1),
  pick: fc.nat(7),
  id: fc.constantFrom(...IDS),
  n: fc.nat(9),
  call: fc.oneof(
    { weight: 3, arbitrary: fc.constant("create" as const) },
    { weight: 6, arbitrary: fc.constantFrom("get" as const, "getByRef" as const, "getUntouched" as const) },
    {
      weight: 6,
      arbitrary: fc.constantFrom(
        "set",
        "setByRef",
        "setAll",
        "increment",
        "touch",
        "confirm",
        "rotate",
        "kill" as const,
      ),
    },
    { weight: 1, arbitrary: fc.constantFrom("killsoid", "killsoidExcept", "killall", "replace" as const) },
  ),
});

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

/** What the caches must agree on. `r`, `idle` and `expires` follow from uses, which a cached read does not count. */
function essence(session: Session | null) {
  if (session === null) return null;
  const { r, idle, expires, ...rest } = session;
  return rest;
}

/** Makes a call. `created` are the sessions so far, of which a rotation replaces one. */
async function make({ by, pick, id, n, call }: Step, created: Created[]): Promise<void> {
  const rs = engines[by] as RedisSessions;
  const at = pick % Math.max(created.length, 1);
  const { token, ref } = created[at] ?? { token: "x".repeat(64), ref: "x".repeat(27) };
  const user = { app, id, ip: "::1" };
  switch (call) {
    case "create":
      created.push(await rs.create({ ...user, ttl: 1000, d: { n } }));
      return;
    case "replace":
      created.push(await rs.create({ ...user, replaces: token, d: { n } }));
      return;
    case "rotate": {
      const rotated = await rs.rotate({ app, token, grace: n % 2 });
      if (rotated !== null) created.push(rotated);
      return;
    }
    default:
      await {
        get: () => rs.get({ app, token }),
        getByRef: () => rs.get({ app, ref }),
        getUntouched: () => rs.get({ app, token, touch: false }),
        set: () => rs.set({ app, token, d: { n } }),
        setByRef: () => rs.set({ app, ref, d: { m: n } }),
        setAll: () => rs.setAll({ app, id, d: { all: n } }),
        increment: () => rs.increment({ app, token, key: "n" }),
        touch: () => rs.touch({ app, token, ttl: 1000 + n }),
        confirm: () => rs.confirm({ app, token }),
        kill: () => rs.kill({ app, token }),
        killsoid: () => rs.killsoid({ app, id }),
        killsoidExcept: () => rs.killsoid({ app, id, except: token }),
        killall: () => rs.killall({ app }),
      }[call]();
  }
}

test("engines with a cache read what an engine without one reads", { timeout: 120_000 }, async () => {
  let hits = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40, size: "max" }), async (steps) => {
      await t.rs.killall({ app });
      const created: Created[] = [];
      const before = engines.map((rs) => rs.cache.hits);
      for (const one of steps) {
        await make(one, created);
        const read = (rs: RedisSessions) =>
          Promise.all(created.map(({ token }) => rs.get({ app, token }).then(essence)));
        const fresh = () =>
          Promise.all(created.map(({ token }) => t.rs.get({ app, token, touch: false }).then(essence)));
        const [own, other] = one.by === 0 ? engines : engines.toReversed();
        // What this process did shows at once. To read may record the first use of a token, so the plain engine reads last.
        const seen = await read(own as RedisSessions);
        expect(seen).toEqual(await fresh());
        await Promise.all(engines.map((rs) => heardSoFar(rs, t.db, CHANNEL)));
        expect(await read(other as RedisSessions)).toEqual(await fresh());
      }
      for (const [i, rs] of engines.entries()) hits += rs.cache.hits - (before[i] ?? 0);
    }),
    { numRuns: 25, endOnFailure: true },
  );
  expect(hits).toBeGreaterThan(500);
});

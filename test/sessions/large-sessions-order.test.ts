import { expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { useEngine } from "../support/engine.js";

const $ = useEngine();
const app = "webapp";

function keys(count: number, value: unknown): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, value as number]));
}

// The script tells only in its reply that it leaves a change to large-sessions.ts: later calls are on their way by then.

test("set: a change that is too much for a script is not made after a later one", async () => {
  const { token } = await $.create({ d: keys(600, 0) });
  await Promise.all([$.rs.set({ app, token, d: keys(600, 1) }), $.rs.set({ app, token, d: { k0: 2 } })]);
  expect((await $.rs.get({ app, token }))?.d).toMatchObject({ k0: 2 });
});

test.fails("set: nor are new keys of a session of 250 KB", async () => {
  const { token } = await $.create({ d: { text: "x".repeat(240_000) } });
  await Promise.all([$.rs.set({ app, token, d: keys(20, 1) }), $.rs.set({ app, token, d: { k0: 2 } })]);
  expect((await $.rs.get({ app, token }))?.d).toMatchObject({ k0: 2 });
});

test("RedisStore: two saves of one request are made in their order", async () => {
  const store = new RedisStore({ client: $.db });
  const cookie = { originalMaxAge: null, expires: null, httpOnly: true, path: "/" };
  await store.set("sid", { cookie, ...keys(600, 0) } as never);
  const session = (await store.get("sid")) as unknown as Record<string, unknown>;
  Object.assign(session, keys(600, 1));
  const first = store.set("sid", session as never);
  session.k0 = 2;
  await Promise.all([first, store.set("sid", session as never)]);
  expect({ ...(await store.get("sid")) }).toMatchObject({ k0: 2, k1: 1 });
});

test("RedisStore: a large first save and a logout right after it leave nothing", async () => {
  const store = new RedisStore({ client: $.db });
  const cookie = { originalMaxAge: null, expires: null, httpOnly: true, path: "/" };
  const save = store.set("sid", { cookie, text: "x".repeat(500_000) } as never);
  await Promise.all([save, store.destroy("sid")]);
  expect(await store.get("sid")).toBeNull();
});

import { describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { useEngine } from "../support/engine.js";

const $ = useEngine();
const app = "webapp";

function keys(count: number, value: unknown): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, value as number]));
}

describe("set of a large session", () => {
  // Only the reply of the script shows that large-sessions.ts must make the change. By then, later calls are in flight.

  test("applies a change that is too large for a script before a later change", async () => {
    const { token } = await $.create({ d: keys(600, 0) });
    await Promise.all([$.rs.set({ app, token, d: keys(600, 1) }), $.rs.set({ app, token, d: { k0: 2 } })]);
    expect((await $.rs.get({ app, token }))?.d).toMatchObject({ k0: 2 });
  });

  // Known limit: whether the script can add keys depends on the length of the stored session, which the process does not know.
  // The order is therefore not kept if the script leaves the earlier of two concurrent changes to large-sessions.ts.
  test.fails("adds keys to a session of 250 KB before a later change", async () => {
    const { token } = await $.create({ d: { text: "x".repeat(240_000) } });
    await Promise.all([$.rs.set({ app, token, d: keys(20, 1) }), $.rs.set({ app, token, d: { k0: 2 } })]);
    expect((await $.rs.get({ app, token }))?.d).toMatchObject({ k0: 2 });
  });
});

describe("RedisStore with a large session", () => {
  test("applies two saves of one request in order", async () => {
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

  test("keeps no session if destroy follows a large first save at once", async () => {
    const store = new RedisStore({ client: $.db });
    const cookie = { originalMaxAge: null, expires: null, httpOnly: true, path: "/" };
    const save = store.set("sid", { cookie, text: "x".repeat(500_000) } as never);
    await Promise.all([save, store.destroy("sid")]);
    expect(await store.get("sid")).toBeNull();
  });
});

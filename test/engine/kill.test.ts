import { expect, test } from "vitest";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";

test.each(["token", "ref"] as const)("ends one session by %s and leaves nothing in Redis", async (by) => {
  const created = await t.create({ d: { a: 1 } });
  const which = by === "token" ? { token: created.token } : { ref: created.ref };
  expect(await t.rs.kill({ app, ...which })).toEqual({ kill: 1 });
  expect(await t.rs.get({ app, token: created.token })).toBeNull();
  expect((await t.db.keys("*")).sort()).toEqual(["rs:apps", "rs:layout"]);
});

test("returns 0 for a session that does not exist or has ended", async () => {
  const { token, ref } = await t.create();
  expect(await t.rs.kill({ app, token: "x".repeat(64) })).toEqual({ kill: 0 });
  expect(await t.rs.kill({ app, ref: "x".repeat(27) })).toEqual({ kill: 0 });
  expect(await t.rs.kill({ app: "other", token })).toEqual({ kill: 0 });
  expect(await t.rs.kill({ app, token })).toEqual({ kill: 1 });
  expect(await t.rs.kill({ app, token })).toEqual({ kill: 0 });
  expect(await t.rs.kill({ app, ref })).toEqual({ kill: 0 });
});

test("keeps the user's other sessions", async () => {
  const { token } = await t.create();
  const { ref } = await t.create();
  await t.rs.kill({ app, token });
  expect((await t.rs.soid({ app, id: "alice" })).sessions.map((session) => session.ref)).toEqual([ref]);
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 1 });
});

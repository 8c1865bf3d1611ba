import { expect, expectTypeOf, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import type { RedisSessions } from "../../src/index.js";
import { sessions } from "../../src/middleware/index.js";
import { withCookie } from "../express-session/support/stores.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";

test("the engine has killAll, killUser, userSessions and activeSessions", async () => {
  const { killAll, killUser, userSessions, activeSessions } = t.rs;
  for (const id of ["alice", "alice", "bob", "carol"]) await t.create({ id });
  expect((await userSessions({ app, id: "alice" })).sessions).toHaveLength(2);
  expect((await activeSessions({ app, dt: 60, limit: 3 })).sessions).toHaveLength(3);
  expect(await killUser({ app, id: "alice" })).toEqual({ kill: 2 });
  const killed = await new Promise((resolve) => killAll({ app }, (_error, result) => resolve(result)));
  expect(killed).toEqual({ kill: 2 });
  expectTypeOf<RedisSessions["userSessions"]>().toEqualTypeOf<RedisSessions["soid"]>();
});

test("auth.admin has them for its app", async () => {
  const { admin } = sessions({ rs: t.rs, app, secret: "keyboard cat" });
  for (const id of ["alice", "alice", "bob"]) await t.create({ id });
  expect((await admin.userSessions("alice")).sessions).toHaveLength(2);
  expect((await admin.activeSessions({ dt: 60 })).sessions).toHaveLength(3);
  expect(await admin.killUser({ id: "alice" })).toEqual({ kill: 2 });
  expect(await admin.killAll()).toEqual({ kill: 1 });
});

test("auth.admin of many apps has the engine's", () => {
  const { admin } = sessions({ rs: t.rs, app: () => app, secret: "keyboard cat" });
  const { killAll, killUser, userSessions, activeSessions } = t.rs;
  expect(admin).toMatchObject({ killAll, killUser, userSessions, activeSessions });
});

test("RedisStore has killUser, userSessions and activeSessions", async () => {
  const store = new RedisStore({ rs: t.rs, app });
  for (const sid of ["a", "b", "c"]) await store.set(sid, withCookie({ userId: "alice" }));
  expect((await store.userSessions("alice", { limit: 2 })).sessions).toHaveLength(2);
  expect((await store.activeSessions(60)).sessions).toHaveLength(3);
  expect(await store.killUser("alice", { except: "b" })).toEqual({ kill: 2 });
  expect(await store.ids()).toEqual(["b"]);
});

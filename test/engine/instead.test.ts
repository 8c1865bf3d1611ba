import { expect, test } from "vitest";
import { useEngine } from "../support/engine.js";

const t = useEngine();

test("a session that is created instead of another ends that one", async () => {
  const old = await t.create();
  const { token } = await t.create({ id: "bob", instead: old.token });
  expect(await t.rs.get({ app: "webapp", token: old.token })).toBeNull();
  expect((await t.rs.get({ app: "webapp", token }))?.id).toBe("bob");
  expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toEqual([]);
});

test("for input that is refused the other session goes on", async () => {
  const old = await t.create();
  for (const bad of [{ id: "" }, { ip: "" }, { ttl: 1 }, { d: {} }, { device: "" }, { maxPerUser: 0 }]) {
    await expect(t.create({ ...bad, instead: old.token })).rejects.toThrow(/supplied|Invalid|must/);
  }
  await expect(t.create({ instead: "no token" })).rejects.toThrow("Invalid token format");
  expect(await t.rs.get({ app: "webapp", token: old.token })).not.toBeNull();
});

test("the other session makes room for this one", async () => {
  const old = await t.create();
  const { token } = await t.create({ instead: old.token, maxPerUser: 1, overflow: "reject" });
  expect(await t.rs.get({ app: "webapp", token })).not.toBeNull();
});

test("an undefined client is refused: it would open a connection to this machine in silence", async () => {
  const { RedisSessions } = await import("../../src/index.js");
  const options = { client: undefined } as unknown as { client: typeof t.db };
  expect(() => new RedisSessions(options)).toThrow("client is undefined");
});

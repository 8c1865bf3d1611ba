import { afterEach, expect, test, vi } from "vitest";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
const NOW = 1_800_000_000_000;

afterEach(() => void vi.restoreAllMocks());

function at(ms: number): void {
  vi.spyOn(Date, "now").mockReturnValue(ms);
}

test("gives 0 for an app that nobody knows", async () => {
  expect(await t.rs.activity({ app: "nobody", dt: 10 })).toEqual({ activity: 0 });
});

test("counts users, not sessions, and those of this app only", async () => {
  for (const id of ["alice", "alice", "bob"]) await t.create({ id });
  await t.create({ app: "other", id: "carol" });
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 2 });
});

test("counts those who were active within dt, which deltaTime is another name of", async () => {
  at(NOW);
  await t.create({ id: "alice" });
  at(NOW + 30_000);
  await t.create({ id: "bob" });
  expect(await t.rs.activity({ app, dt: 29 })).toEqual({ activity: 1 });
  expect(await t.rs.activity({ app, dt: 30 })).toEqual({ activity: 2 });
  expect(await t.rs.activity({ app, deltaTime: 29 })).toEqual({ activity: 1 });
});

test.each(["get", "set"] as const)("counts a user again who comes back with %s", async (call) => {
  at(NOW);
  const { token } = await t.create();
  at(NOW + 60_000);
  expect(await t.rs.activity({ app, dt: 10 })).toEqual({ activity: 0 });
  await (call === "get" ? t.rs.get({ app, token }) : t.rs.set({ app, token, d: { a: 1 } }));
  expect(await t.rs.activity({ app, dt: 10 })).toEqual({ activity: 1 });
});

test("goes by the user's latest session", async () => {
  at(NOW);
  const { token } = await t.create();
  at(NOW + 60_000);
  await t.create();
  at(NOW + 50_000);
  await t.rs.get({ app, token });
  at(NOW + 65_000);
  expect(await t.rs.activity({ app, dt: 10 })).toEqual({ activity: 1 });
});

test("counts a user no more when the last session is killed", async () => {
  const one = await t.create();
  const two = await t.create();
  await t.rs.kill({ app, token: one.token });
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 1 });
  await t.rs.kill({ app, token: two.token });
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 0 });
});

test("counts a user still whose only session was rotated", async () => {
  const { token } = await t.create();
  await t.rs.rotate({ app, token, grace: 0 });
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 1 });
});

import { afterEach, expect, test, vi } from "vitest";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
const NOW = 1_800_000_000_000;

afterEach(() => void vi.restoreAllMocks());

function at(ms: number): void {
  vi.spyOn(Date, "now").mockReturnValue(ms);
}

test("returns 0 for an app without sessions", async () => {
  expect(await t.rs.activity({ app: "nobody", dt: 10 })).toEqual({ activity: 0 });
});

test("counts users, not sessions, and only the users of this app", async () => {
  for (const id of ["alice", "alice", "bob"]) await t.create({ id });
  await t.create({ app: "other", id: "carol" });
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 2 });
});

test("counts users who were active within dt or deltaTime", async () => {
  at(NOW);
  await t.create({ id: "alice" });
  at(NOW + 30_000);
  await t.create({ id: "bob" });
  expect(await t.rs.activity({ app, dt: 29 })).toEqual({ activity: 1 });
  expect(await t.rs.activity({ app, dt: 30 })).toEqual({ activity: 2 });
  expect(await t.rs.activity({ app, deltaTime: 29 })).toEqual({ activity: 1 });
});

test.each(["get", "set"] as const)("counts a user again after %s", async (call) => {
  at(NOW);
  const { token } = await t.create();
  at(NOW + 60_000);
  expect(await t.rs.activity({ app, dt: 10 })).toEqual({ activity: 0 });
  await (call === "get" ? t.rs.get({ app, token }) : t.rs.set({ app, token, d: { a: 1 } }));
  expect(await t.rs.activity({ app, dt: 10 })).toEqual({ activity: 1 });
});

test("uses the user's most recently active session", async () => {
  at(NOW);
  const { token } = await t.create();
  at(NOW + 60_000);
  await t.create();
  at(NOW + 50_000);
  await t.rs.get({ app, token });
  at(NOW + 65_000);
  expect(await t.rs.activity({ app, dt: 10 })).toEqual({ activity: 1 });
});

test("does not count a user whose last session was killed", async () => {
  const one = await t.create();
  const two = await t.create();
  await t.rs.kill({ app, token: one.token });
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 1 });
  await t.rs.kill({ app, token: two.token });
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 0 });
});

test("counts a user whose only session was rotated", async () => {
  const { token } = await t.create();
  await t.rs.rotate({ app, token, grace: 0 });
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 1 });
});

import { afterEach, describe, expect, test, vi } from "vitest";
import { useEngine } from "../support/engine.js";
import { readFields } from "../support/session-text.js";

const t = useEngine();

afterEach(() => void vi.restoreAllMocks());

/** Moves this process's clock; Redis's own goes on. */
function at(ms: number): void {
  vi.spyOn(Date, "now").mockReturnValue(ms);
}

const NOW = 1_800_000_000_000;

async function ids(options: { dt?: number; limit?: number; offset?: number } = {}): Promise<string[]> {
  const { sessions } = await t.rs.soapp({ app: "webapp", dt: 600, ...options });
  return sessions.map(({ id }) => id);
}

test("returns an empty list for an app without sessions", async () => {
  expect(await t.rs.soapp({ app: "nobody", dt: 10 })).toEqual({ sessions: [] });
});

test("returns the sessions of all users of the app, most recently active first", async () => {
  for (const [i, id] of ["carol", "alice", "bob"].entries()) {
    at(NOW + i * 1000);
    await t.create({ id });
  }
  await t.create({ app: "other", id: "mallory" });
  expect(await ids()).toEqual(["bob", "alice", "carol"]);
});

test("moves a session to the top when it is used", async () => {
  at(NOW);
  const { token } = await t.create({ id: "alice" });
  at(NOW + 1000);
  await t.create({ id: "bob" });
  at(NOW + 2000);
  await t.rs.get({ app: "webapp", token });
  expect(await ids()).toEqual(["alice", "bob"]);
  at(NOW + 4000);
  expect((await t.rs.soapp({ app: "webapp", dt: 600 })).sessions.map(({ idle }) => idle)).toEqual([2, 3]);
});

test("returns whole sessions and does not change them", async () => {
  const { ref } = await t.create({ d: { cart: 3 }, device: "Firefox", ttl: 99 });
  const before = await readFields(t.db, `rs:{webapp}:s:${ref}`);
  const { sessions } = await t.rs.soapp({ app: "webapp", dt: 60 });
  expect(sessions).toEqual([
    {
      ref,
      id: "alice",
      ip: "127.0.0.1",
      r: 1,
      w: 1,
      ttl: 99,
      idle: 0,
      created: expect.any(Number),
      expires: expect.any(Number),
      authTime: expect.any(Number),
      device: "Firefox",
      d: { cart: 3 },
    },
  ]);
  expect(await readFields(t.db, `rs:{webapp}:s:${ref}`)).toEqual(before);
});

test("leaves out sessions that were last used before dt or deltaTime", async () => {
  at(NOW);
  await t.create({ id: "old" });
  at(NOW + 30_000);
  await t.create({ id: "new" });
  expect(await ids({ dt: 29 })).toEqual(["new"]);
  expect(await ids({ dt: 30 })).toEqual(["new", "old"]);
  const { sessions } = await t.rs.soapp({ app: "webapp", deltaTime: 29 });
  expect(sessions.map(({ id }) => id)).toEqual(["new"]);
});

describe("limit and offset", () => {
  test("choose among the most recently active", async () => {
    for (let i = 0; i < 5; i++) {
      at(NOW + i);
      await t.create({ id: `u${i}` });
    }
    expect(await ids({ limit: 2 })).toEqual(["u4", "u3"]);
    expect(await ids({ offset: 3 })).toEqual(["u1", "u0"]);
    expect(await ids({ offset: 1, limit: 2 })).toEqual(["u3", "u2"]);
    expect(await ids({ offset: 4, limit: 9 })).toEqual(["u0"]);
    expect(await ids({ offset: 5 })).toEqual([]);
  });

  test("count living sessions only", async () => {
    for (let i = 0; i < 5; i++) {
      at(NOW + i);
      const { ref } = await t.create({ id: `u${i}` });
      if (i === 4 || i === 2) await t.db.del(`rs:{webapp}:s:${ref}`);
    }
    expect(await ids({ offset: 1, limit: 2 })).toEqual(["u1", "u0"]);
  });

  test("do not read each session that is gone", async () => {
    at(NOW);
    await t.create({ id: "living" });
    for (let i = 1; i <= 450; i++) {
      at(NOW + i);
      await t.db.del(`rs:{webapp}:s:${(await t.create({ id: "gone" })).ref}`);
    }
    const commands = await t.redis.watch(async () => expect(await ids({ limit: 1 })).toEqual(["living"]));
    expect(commands.length).toBeLessThan(60);
  });

  test("reach over chunks: 250 sessions, in pages of 90", async () => {
    for (let i = 0; i < 250; i++) {
      at(NOW + i);
      await t.create({ id: `u${i}` });
    }
    const all = Array.from({ length: 250 }, (_, i) => `u${249 - i}`);
    expect(await ids()).toEqual(all);
    const pages = [];
    for (let offset = 0; offset < 250; offset += 90) pages.push(...(await ids({ offset, limit: 90 })));
    expect(pages).toEqual(all);
    expect(await ids({ offset: 95, limit: 110 })).toEqual(all.slice(95, 205));
  });
});

test("drops the index entries of gone sessions that it finds", async () => {
  const { ref } = await t.create({ id: "alice" });
  await t.create({ id: "bob" });
  await t.db.del(`rs:{webapp}:s:${ref}`);
  expect(await ids()).toEqual(["bob"]);
  expect(await t.db.zscore("rs:{webapp}:active", ref)).toBeNull();
});

test("misses no session when 250 sessions share one millisecond", async () => {
  at(NOW);
  for (let i = 0; i < 250; i++) await t.create({ id: `u${i}` });
  const found = await ids();
  expect(found).toHaveLength(250);
  expect(new Set(found).size).toBe(250);
});

test("misses no session when many that share one millisecond are gone", async () => {
  at(NOW);
  for (let i = 0; i < 250; i++) await t.create({ id: `u${i}` });
  const refs = await t.db.zrange("rs:{webapp}:active", "0", "-1");
  // The first chunk that is met is the end of this list.
  await t.db.del(...refs.slice(190).map((ref) => `rs:{webapp}:s:${ref}`));
  expect(await ids()).toHaveLength(190);
});

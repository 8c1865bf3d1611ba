import type { SessionData } from "express-session";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { startRedis, type TestRedis } from "../support/redis.js";

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  await redis.client().flushdb();
});
afterAll(() => redis.stop());

type Fat = SessionData & Record<string, unknown>;

const cookie = { originalMaxAge: null, expires: null, httpOnly: true, path: "/" };

function open(options = {}): RedisStore {
  return new RedisStore({ client: redis.client(), ...options });
}

function fat(data: Record<string, unknown>): Fat {
  return { cookie, ...data } as unknown as Fat;
}

function keys(count: number, value = 1): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, value]));
}

describe("a session that connect-redis would accept", () => {
  test("of 8 MB in one key is saved, loaded, changed and ended", async () => {
    const store = open();
    const big = "x".repeat(8 * 1024 * 1024);
    await store.set("sid", fat({ big, small: 1 }));
    const session = (await store.get("sid")) as Fat;
    expect(session).toMatchObject({ big, small: 1 });
    session.small = 2;
    await store.set("sid", session);
    session.more = "딸기";
    await store.set("sid", session);
    expect(await store.get("sid")).toMatchObject({ big, small: 2, more: "딸기" });
    await store.destroy("sid");
    expect(await store.get("sid")).toBeNull();
  });

  test.each([1, 100, 20_000])("of 20,000 keys is saved when %i of them change, whatever their order", async (count) => {
    const store = open();
    await store.set("sid", fat(keys(20_000)));
    const session = (await store.get("sid")) as Fat;
    for (const name of Object.keys(keys(count)).reverse()) {
      delete session[name];
      session[name] = 2;
    }
    await store.set("sid", session);
    expect({ ...((await store.get("sid")) as Fat) }).toMatchObject({ ...keys(20_000), ...keys(count, 2) });
  });

  test("is taken over from connect-redis, and is in its user's index", async () => {
    const big = "x".repeat(2_000_000);
    await redis.client().set("sess:old", JSON.stringify(fat({ big, userId: "alice" })), "EX", 1000);
    const store = open();
    expect(await store.get("old")).toMatchObject({ big, userId: "alice" });
    expect(await redis.client().exists("sess:old")).toBe(0);
    expect((await store.soid("alice")).sessions).toHaveLength(1);
  });
});

describe("a large session", () => {
  const big = "x".repeat(400_000);

  test("moves to another user and gets the TTL of its cookie", async () => {
    const store = open();
    await store.set("sid", fat({ big, userId: "alice" }));
    const session = (await store.get("sid")) as Fat;
    session.userId = "bob";
    session.cookie = { ...cookie, originalMaxAge: 50_000, expires: new Date(Date.now() + 50_000) } as never;
    await store.set("sid", session);
    expect(await store.soid("alice")).toEqual({ sessions: [] });
    expect((await store.soid("bob")).sessions).toHaveLength(1);
    const left = await redis.client().pttl("rs:{sess}:s:~sid");
    expect(left).toBeGreaterThan(40_000);
    expect(left).toBeLessThanOrEqual(50_000);
  });

  test("loses no key to a parallel request", async () => {
    const store = open();
    await store.set("sid", fat({ big }));
    const names = ["a", "b", "c", "d", "e"];
    const sessions = (await Promise.all(names.map(() => store.get("sid")))) as Fat[];
    await Promise.all(
      sessions.map((session, i) => {
        session[names[i] as string] = i;
        return store.set("sid", session);
      }),
    );
    expect(await store.get("sid")).toMatchObject({ big, a: 0, b: 1, c: 2, d: 3, e: 4 });
  });

  test("stays ended if it is destroyed before its save is answered", async () => {
    const store = open({ legacy: false });
    const saved = store.set("sid", fat({ big }));
    const destroyed = store.destroy("sid");
    await Promise.all([saved, destroyed]);
    expect(await store.get("sid")).toBeNull();
  });
});

describe("maxBytes and maxKeys", () => {
  test("refuse a save and leave the session as it was", async () => {
    const store = open({ maxBytes: 1000, maxKeys: 10 });
    await store.set("sid", fat({ a: 1 }));
    const session = (await store.get("sid")) as Fat;
    session.big = "x".repeat(1000);
    await expect(store.set("sid", session)).rejects.toMatchObject({
      name: "invalidValue",
      hint: expect.stringContaining("maxBytes"),
    });
    delete session.big;
    Object.assign(session, keys(10));
    await expect(store.set("sid", session)).rejects.toMatchObject({
      name: "invalidValue",
      hint: expect.stringContaining("maxKeys"),
    });
    expect({ ...((await store.get("sid")) as Fat) }).toEqual(fat({ a: 1 }));
    for (const data of [{ big: "x".repeat(1000) }, keys(11)]) {
      await expect(store.set("new", fat(data))).rejects.toMatchObject({ name: "invalidValue" });
    }
    expect(await store.get("new")).toBeNull();
  });

  test("let a larger session of connect-redis be taken over, but not grow", async () => {
    await redis.client().set("sess:old", JSON.stringify(fat({ big: "x".repeat(2000) })), "EX", 1000);
    const store = open({ maxBytes: 1000 });
    const session = (await store.get("old")) as Fat;
    expect(session.big).toHaveLength(2000);
    session.more = 1;
    await expect(store.set("old", session)).rejects.toMatchObject({ name: "invalidValue" });
    const again = (await store.get("old")) as Fat;
    again.big = "x".repeat(500);
    await store.set("old", again);
    expect((await store.get("old")) as Fat).toMatchObject({ big: "x".repeat(500) });
  });
});

import { setTimeout as sleep } from "node:timers/promises";
import session, { type SessionData } from "express-session";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { RedisStore } from "../../src/express-session/index.js";
import { call } from "../contract/store.js";
import { readFields } from "../support/session-text.js";
import { rot13 } from "./support/serializers.js";
import { done } from "./support/site.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

type Loaded = session.Session & SessionData & Record<string, unknown>;

let store: RedisStore;

beforeEach(async () => {
  store = t.store();
  await store.set("sid", withCookie({ color: "red", cart: ["tea"] }));
});

async function load(from = store, sid = "sid"): Promise<Loaded> {
  const loaded = await call<SessionData>((ready) => from.load(sid, ready));
  expect(loaded).toBeInstanceOf(session.Session);
  return loaded as Loaded;
}

test("does not store express-session's default cookie, but loads it", async () => {
  const cookie = new session.Cookie() as SessionData["cookie"];
  await store.set("usual", { cookie, color: "red" } as never);
  expect(await readFields(t.db, "rs:{sess}:s:~usual")).not.toHaveProperty('"cookie"');
  const usual = { originalMaxAge: null, expires: null, httpOnly: true, path: "/" };
  expect(await store.get("usual")).toEqual({ cookie: usual, color: "red" });
});

test.each([
  ["no cookie", { color: "red" }],
  ["a cookie of null", { cookie: null, color: "red" }],
])("loads a session with %s as it was saved", async (_which, data) => {
  await store.set("bare", data as never);
  expect(await store.get("bare")).toEqual(data);
});

describe("two saves of a session without waiting", () => {
  test("store the state of the second, though it undoes the first", async () => {
    const loaded = await load();
    loaded.color = "blue";
    const first = done((ready) => loaded.save(ready));
    loaded.color = "red";
    const second = done((ready) => loaded.save(ready));
    await Promise.all([first, second]);
    expect(await store.get("sid")).toMatchObject({ color: "red" });
  });

  test("keep a key that the first removed and the second wrote again", async () => {
    const loaded = await load();
    delete loaded.color;
    const first = done((ready) => loaded.save(ready));
    loaded.color = "red";
    await Promise.all([first, done((ready) => loaded.save(ready))]);
    expect(await store.get("sid")).toMatchObject({ color: "red" });
  });
});

test("a save right after a load changes neither the expiry nor the index", async () => {
  const loaded = await load();
  await t.db.zadd("rs:{sess}:active", 1, "~sid");
  loaded.color = "blue";
  await done((ready) => loaded.save(ready));
  expect(await readFields(t.db, "rs:{sess}:s:~sid")).toMatchObject({ '"color"': '"blue"' });
  expect(await t.db.zscore("rs:{sess}:active", "~sid")).toBe("1");
});

test("a save sends the changes of a failed save again", async () => {
  const loaded = await load();
  const text = `${await t.db.get("rs:{sess}:s:~sid")}`;
  await t.db.rename("rs:{sess}:active", "aside");
  await t.db.set("rs:{sess}:active", "not a zset");
  loaded.color = "blue";
  delete loaded.cart;
  loaded.userId = "alice";
  await expect(done((ready) => loaded.save(ready))).rejects.toMatchObject({ name: "redisError" });
  await t.db.rename("aside", "rs:{sess}:active");
  // Undo what the failed script has written, as if Redis had never received it.
  await t.db.set("rs:{sess}:s:~sid", text, "KEEPTTL");

  await done((ready) => loaded.save(ready));
  const got = await store.get("sid");
  expect(got).toMatchObject({ color: "blue", userId: "alice" });
  expect(got).not.toHaveProperty("cart");
  expect((await store.soid("alice")).sessions).toHaveLength(1);
});

test("a touch sends the changes of a failed touch again", async () => {
  const loaded = await load();
  loaded.cookie.maxAge = 400_000;
  const evalsha = vi.spyOn(t.db, "evalsha").mockRejectedValueOnce(new Error("ERR lost"));
  await expect(done((ready) => store.touch("sid", loaded, ready))).rejects.toMatchObject({ name: "redisError" });
  expect(evalsha).toHaveBeenCalledOnce();
  await done((ready) => store.touch("sid", loaded, ready));
  expect((await store.get("sid"))?.cookie.originalMaxAge).toBe(400_000);
  expect(await t.db.pttl("rs:{sess}:s:~sid")).toBeGreaterThan(390_000);
  expect(await t.db.pttl("rs:{sess}:s:~sid")).toBeLessThanOrEqual(400_000);
});

describe("after destroy", () => {
  test("a save of a loaded session does nothing and does not fail", async () => {
    const loaded = await load();
    await store.destroy("sid");
    loaded.color = "blue";
    await done((ready) => loaded.save(ready));
    expect(await store.get("sid")).toBeNull();
  });

  test("a save of a plain object that the store returned does nothing", async () => {
    const got = (await store.get("sid")) as SessionData;
    await store.destroy("sid");
    await store.set("sid", Object.assign(got, { color: "blue" }));
    expect(await store.get("sid")).toBeNull();
  });

  test("a plain object of the caller is saved", async () => {
    await store.destroy("sid");
    await store.set("sid", withCookie({ color: "blue" }));
    expect(await store.get("sid")).toMatchObject({ color: "blue" });
  });

  test("a touch with an untracked session does not revive it", async () => {
    await store.destroy("sid");
    await store.touch("sid", withCookie({}));
    expect(await store.get("sid")).toBeNull();
  });

  test("the tombstone is neither counted nor listed, and expires after a minute", async () => {
    await store.destroy("sid");
    expect(await readFields(t.db, "rs:{sess}:s:~sid")).toEqual({ to: "" });
    const left = await t.db.pttl("rs:{sess}:s:~sid");
    expect(left).toBeGreaterThan(50_000);
    expect(left).toBeLessThanOrEqual(60_000);
    expect(await store.length()).toBe(0);
    expect(await store.ids()).toEqual([]);
    expect(await store.all()).toEqual([]);
  });
});

test("a save under another id writes the whole session there", async () => {
  const got = (await store.get("sid")) as SessionData;
  await store.set("copy", got);
  expect(await store.get("copy")).toMatchObject({ color: "red", cart: ["tea"] });
});

test("replacing a session keeps its creation time", async () => {
  const { created } = await readFields(t.db, "rs:{sess}:s:~sid");
  expect(created).toMatch(/^\d+$/);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await store.set("sid", withCookie({ color: "blue" }));
  expect((await readFields(t.db, "rs:{sess}:s:~sid")).created).toBe(created);
});

test("merges key by key with a serializer, too", async () => {
  const secret = t.store({ serializer: rot13 });
  await secret.set("sid", withCookie({ color: "red", note: "hello" }));
  const [one, other] = [await load(secret), await load(secret)];
  one.color = "blue";
  other.shape = "round";
  delete other.note;
  await Promise.all([done((ready) => one.save(ready)), done((ready) => other.save(ready))]);
  const got = await secret.get("sid");
  expect(got).toMatchObject({ color: "blue", shape: "round" });
  expect(got).not.toHaveProperty("note");
});

test("an error of the serializer fails the call, and nothing is written", async () => {
  const broken = t.store({
    serializer: { stringify: () => "", parse: () => Promise.reject(new Error("wrong key")) },
  });
  await expect(broken.get("sid")).rejects.toThrow();
  const strict = t.store({
    serializer: { stringify: () => Promise.reject(new Error("no key")), parse: JSON.parse },
  });
  await expect(strict.set("new", withCookie({}))).rejects.toThrow("no key");
  expect(await store.get("new")).toBeNull();
});

test("a serializer that does not return a string fails the call, and nothing is written", async () => {
  const serializer = { stringify: () => Buffer.from("text") as never, parse: JSON.parse };
  await expect(t.store({ serializer }).set("new", withCookie({}))).rejects.toMatchObject({
    name: "invalidValue",
    message: "RedisStore: serializer.stringify must return a string",
  });
  expect(await store.get("new")).toBeNull();
});

test("a touch keeps data that a Session hides", async () => {
  await store.set("sid", withCookie({ id: "x", save: true, color: "red" }));
  const loaded = await load();
  loaded.cookie.maxAge = 90_000;
  await done((ready) => store.touch("sid", loaded, ready));
  expect(await store.get("sid")).toMatchObject({
    id: "x",
    save: true,
    color: "red",
    cookie: { originalMaxAge: 90_000 },
  });
});

test("a session that JSON cannot represent is refused, and the stored one is kept", async () => {
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  await expect(store.set("sid", withCookie({ loop }))).rejects.toThrow(TypeError);
  await expect(store.set("sid", withCookie({ big: 10n }))).rejects.toThrow(TypeError);
  expect(await store.get("sid")).toMatchObject({ color: "red" });
});

describe("calls without waiting keep their order", () => {
  test("a destroy after the first save ends the session", async () => {
    for (const fresh of [t.store({ prefix: "fresh:" }), store]) {
      await fresh.set("warm", withCookie({}));
      const saved = fresh.set("brief", withCookie({ userId: "alice" }));
      await Promise.all([saved, fresh.destroy("brief")]);
      expect(await fresh.get("brief")).toBeNull();
      expect(await fresh.soid("alice")).toEqual({ sessions: [] });
    }
  });

  test("a load after a save sees it", async () => {
    const loaded = await load();
    loaded.color = "blue";
    const [, again] = await Promise.all([store.set("sid", loaded), store.get("sid")]);
    expect(again).toMatchObject({ color: "blue" });
  });

  test("the second of two saves wins, though its text is ready first", async () => {
    const slow = t.store({
      serializer: {
        parse: JSON.parse,
        stringify: async (value) => {
          const text = JSON.stringify(value);
          await sleep(text.length > 100 ? 20 : 1);
          return text;
        },
      },
    });
    await slow.set("slow", withCookie({ color: "red" }));
    const loaded = await load(slow, "slow");
    const saves = ["blue".repeat(100), "green"].map((color) => slow.set("slow", Object.assign(loaded, { color })));
    await Promise.all(saves);
    expect(await slow.get("slow")).toMatchObject({ color: "green" });
  });
});

test.each([undefined, null, 7])("an id of %s finds and ends nothing", async (sid) => {
  expect(await store.get(sid as never)).toBeNull();
  await store.destroy(sid as never);
  expect(await store.length()).toBe(1);
});

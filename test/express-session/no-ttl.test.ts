import { setTimeout as sleep } from "node:timers/promises";
import session, { type Session, type SessionData } from "express-session";
import { describe, expect, test } from "vitest";
import { call } from "../contract/store.js";
import { editFields, readFields } from "../support/session-text.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();
const key = "rs:{sess}:s:~sid";

describe("with disableTTL", () => {
  test("no write gives a session a TTL in Redis", async () => {
    const store = t.store({ disableTTL: true });
    await store.set("sid", withCookie({}, 1000));
    expect(await t.db.pttl(key)).toBe(-1);
    await store.touch("sid", withCookie({}, 1000));
    await store.get("sid");
    expect(await t.db.pttl(key)).toBe(-1);

    const browser = (await t.site({ store, cookie: { maxAge: 5000 }, rolling: true })).browser();
    await browser.get("/login/alice");
    await browser.get("/set/color/red");
    expect(await t.db.pttl(`rs:{sess}:s:~${browser.sid}`)).toBe(-1);
  });

  test("the wiper keeps the sessions, and they are counted and listed", async () => {
    const store = t.store({ disableTTL: true });
    for (const sid of ["a", "b", "c"]) await store.set(sid, withCookie({ userId: "alice" }));
    expect(await t.rs.wipe()).toEqual({ wiped: 0 });
    await sleep(5);
    expect(await t.rs.wipe()).toEqual({ wiped: 0 });
    expect(await store.length()).toBe(3);
    expect((await store.ids()).sort()).toEqual(["a", "b", "c"]);
    expect(await store.all()).toHaveLength(3);
    expect((await store.soid("alice")).sessions).toHaveLength(3);
    expect(await store.killsoid("alice")).toEqual({ kill: 3 });
    expect(await store.length()).toBe(0);
  });

  test("a loaded session's cookie expires in the future", async () => {
    const store = t.store({ disableTTL: true });
    await store.set("sid", withCookie({}, 5000));
    const left = Number((await call<SessionData>((done) => store.load("sid", done)))?.cookie.expires);
    expect(left - Date.now()).toBeGreaterThan(3000);
    expect(left - Date.now()).toBeLessThanOrEqual(5000);
  });

  test("a session that had a TTL loses it at the next write", async () => {
    const browser = (await t.site()).browser();
    await browser.get("/login/alice");
    expect(await t.db.pttl(`rs:{sess}:s:~${browser.sid}`)).toBeGreaterThan(0);
    const endless = await t.site({ store: t.store({ disableTTL: true }) });
    await browser.copy(endless.url).get("/set/color/red");
    expect(await t.db.pttl(`rs:{sess}:s:~${browser.sid}`)).toBe(-1);
  });

  test("a large session that had a TTL loses it at the next write", async () => {
    const note = "x".repeat(300_000);
    await t.store().set("sid", withCookie({ note }));
    const store = t.store({ disableTTL: true });
    const loaded = (await store.get("sid")) as SessionData & { color?: string };
    loaded.color = "red";
    await store.set("sid", loaded);
    expect(await store.get("sid")).toMatchObject({ note, color: "red" });
    expect(await t.db.pttl(key)).toBe(-1);
  });

  test("destroy ends a session and leaves a tombstone that expires", async () => {
    const store = t.store({ disableTTL: true });
    await store.set("sid", withCookie({}));
    await store.destroy("sid");
    expect(await store.get("sid")).toBeNull();
    expect(await readFields(t.db, key)).toEqual({ to: "" });
    expect(await t.db.pttl(key)).toBeGreaterThan(0);
    expect(await store.length()).toBe(0);
  });
});

describe("with disableTouch", () => {
  test("neither reading nor touching prolongs a session", async () => {
    const store = t.store({ disableTouch: true });
    await store.set("sid", withCookie({}));
    await editFields(t.db, key, { la: Date.now() - 5000 });
    await t.db.pexpire(key, 1000);
    await store.get("sid");
    await store.touch("sid", withCookie({}));
    expect(await t.db.pttl(key)).toBeLessThanOrEqual(1000);
  });

  test("only requests that write prolong a session", async () => {
    const store = t.store({ disableTouch: true });
    const browser = (await t.site({ store, cookie: { maxAge: 60_000 }, rolling: true })).browser();
    await browser.get("/login/alice");
    const key = `rs:{sess}:s:~${browser.sid}`;
    await editFields(t.db, key, { la: Date.now() - 5000 });
    await t.db.pexpire(key, 10_000);
    await browser.get("/me");
    expect(await t.db.pttl(key)).toBeLessThanOrEqual(10_000);
    await browser.get("/set/color/red");
    expect(await t.db.pttl(key)).toBeGreaterThan(59_000);
  });
});

test("with disableTouch each save prolongs a session, as in connect-redis", async () => {
  const store = t.store({ disableTouch: true });
  const load = async () =>
    (await call<SessionData>((done) => store.load("sid", done))) as unknown as Session & SessionData;
  await store.set("sid", withCookie({ color: "red" }, 60_000));
  await store.set("sid", await load());
  // The last use was half a minute ago.
  await editFields(t.db, key, { la: { add: -30_000 } });
  await t.db.pexpire(key, 30_000);
  await store.set("sid", (await load()).touch());
  expect(await t.db.pttl(key)).toBeGreaterThan(55_000);
});

test("reading does not prolong a session whose ttl function counts down to a fixed end", async () => {
  const end = Date.now() + 100_000;
  const store = t.store({ ttl: () => (end - Date.now()) / 1000 });
  await store.set("sid", withCookie({}, null));
  await editFields(t.db, key, { la: { add: -50_000 } });
  await t.db.pexpire(key, 50_000);
  await store.get("sid");
  expect(await t.db.pttl(key)).toBeLessThanOrEqual(50_000);
});

test.each([Number.NaN, undefined])("a touch and a save with a ttl of %s are errors, and end nothing", async (ttl) => {
  await t.store().set("sid", withCookie({ note: "kept" }, null));
  const store = t.store({ ttl: () => ttl as number });
  const refused = { name: "invalidValue", message: "RedisStore: the session's ttl is not a number" };
  await expect(store.touch("sid", withCookie({}, null))).rejects.toMatchObject(refused);
  await expect(store.set("sid", withCookie({}, null))).rejects.toMatchObject(refused);
  const loaded = await store.get("sid");
  await expect(store.set("sid", loaded as SessionData)).rejects.toMatchObject(refused);
  expect(await t.store().get("sid")).toMatchObject({ note: "kept" });
});

test("a cookie that expires at the latest possible date is loaded", async () => {
  const store = t.store({ disableTTL: true });
  const cookie = new session.Cookie() as SessionData["cookie"];
  cookie.expires = new Date(8.64e15);
  await sleep(2);
  await store.set("sid", { cookie, color: "red" } as never);
  expect(await store.get("sid")).toMatchObject({ color: "red" });
});

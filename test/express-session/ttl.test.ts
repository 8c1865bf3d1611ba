import { setTimeout as sleep } from "node:timers/promises";
import session, { type SessionData } from "express-session";
import { describe, expect, test, vi } from "vitest";
import type { RedisStore, RedisStoreOptions } from "../../src/express-session/index.js";
import { call } from "../contract/store.js";
import { readStored } from "../support/index-check.js";
import { editFields } from "../support/session-text.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();
const key = "rs:{sess}:s:~sid";

/** Expects that a session that is written now ends in `ttl` ms, minus the time that the check takes. */
async function expectTtl(ttl: number, data: object, options?: RedisStoreOptions): Promise<void> {
  const began = Date.now();
  await t.store(options).set("sid", data as SessionData);
  const left = await t.db.pttl(key);
  expect(left).toBeGreaterThanOrEqual(ttl - (Date.now() - began) - 2);
  expect(left).toBeLessThanOrEqual(ttl);
}

describe("the TTL of a session is", () => {
  test("that of its cookie, to the millisecond", async () => {
    await expectTtl(300, withCookie({}, 300));
  });

  test("that of its cookie, if the date is a string", async () => {
    const expires = new Date(Date.now() + 1500).toISOString();
    await expectTtl(1500, { cookie: { originalMaxAge: 1500, expires } });
  });

  test("a day, if the cookie has no expires", async () => {
    await expectTtl(86_400_000, withCookie({}, null));
    await expectTtl(86_400_000, { data: "but no cookie" });
  });

  test("the option ttl in seconds, with fractions, if the cookie has no expires", async () => {
    await expectTtl(5000, withCookie({}, null), { ttl: 5 });
    await expectTtl(250, withCookie({}, null), { ttl: 0.25 });
    await expectTtl(60_000, withCookie({}, 60_000), { ttl: 5 });
  });

  test("the result of the function ttl, whatever the cookie says", async () => {
    const ttl = (session: SessionData) => (session.userId === "admin" ? 10 : 100);
    await expectTtl(10_000, withCookie({ userId: "admin" }), { ttl });
    await expectTtl(100_000, withCookie({ userId: "alice" }), { ttl });
  });

  test("a hundred years at most", async () => {
    const century = 100 * 365 * 86_400_000;
    await expectTtl(century, withCookie({}, null), { ttl: Number.POSITIVE_INFINITY });
    await expectTtl(century, withCookie({}), { ttl: () => Number.MAX_VALUE });
    expect(await t.store().get("sid")).toMatchObject({ cookie: { originalMaxAge: 60_000 } });
  });
});

test("a session with a maxAge of 300 ms exists before, and not after that", async () => {
  const site = await t.site({ cookie: { maxAge: 300 } });
  const browser = site.browser();
  await browser.get("/login/alice");
  const { sid } = browser;
  await sleep(100);
  expect(await t.db.exists(`rs:{sess}:s:~${sid}`)).toBe(1);
  await sleep(230);
  expect((await browser.get("/me")).body).not.toHaveProperty("userId");
  expect(await t.store().length()).toBe(0);
});

test("a session with a short TTL that is used all the time does not end", async () => {
  const site = await t.site({ cookie: { maxAge: 400 }, rolling: true });
  const browser = site.browser();
  await browser.get("/login/alice");
  for (let i = 0; i < 7; i++) {
    await sleep(100);
    expect((await browser.get("/me")).body).toMatchObject({ userId: "alice" });
  }
});

describe("the cookie date of a loaded session is when Redis ends it", () => {
  /** @param began before the last use: the store dates it when it sends the call, and Redis when the call arrives */
  async function expectAgreement(store: RedisStore, sid: string, began: number): Promise<void> {
    const expires = Number((await store.get(sid))?.cookie.expires);
    const ends = Date.now() + (await t.db.pttl(`rs:{sess}:s:~${sid}`));
    expect(Math.abs(expires - ends)).toBeLessThanOrEqual(Date.now() - began + 2);
  }

  test("after a write", async () => {
    const store = t.store();
    const began = Date.now();
    await store.set("sid", withCookie({}, 5000));
    await expectAgreement(store, "sid", began);
  });

  test("after a touch by this and by another store", async () => {
    const store = t.store();
    await store.set("sid", withCookie({}, 5000));
    await sleep(50);
    const began = Date.now();
    await t.store().touch("sid", withCookie({}, 90_000));
    await expectAgreement(store, "sid", began);
    expect(await t.db.pttl(key)).toBeGreaterThan(89_000);
  });

  test("after another request has used the session", async () => {
    const store = t.store();
    const site = await t.site({ store, cookie: { maxAge: 5000 } });
    const browser = site.browser();
    await browser.get("/login/alice");
    const { sid } = browser;
    const first = Date.parse(`${(await browser.get("/me")).body.expires}`);
    await sleep(1050);
    const began = Date.now();
    await browser.get("/me");
    await expectAgreement(store, sid, began);
    const second = Number((await store.get(sid))?.cookie.expires);
    expect(second - first).toBeGreaterThan(1000);
  });

  test("with a function for the ttl", async () => {
    const store = t.store({ ttl: () => 7 });
    const began = Date.now();
    await store.set("sid", withCookie({}, 60_000));
    await expectAgreement(store, "sid", began);
    expect(await t.db.pttl(key)).toBeLessThanOrEqual(7000);
  });

  test("at a read a second after the last", async () => {
    const store = t.store();
    await store.set("sid", withCookie({}, 5000));
    for (const ago of [990, 999, 1000, 1001, 1500, -990, -1500]) {
      const began = Date.now();
      await editFields(t.db, key, { la: began - ago });
      await t.db.pexpire(key, 5000 - ago);
      await expectAgreement(store, "sid", began);
    }
  });
});

describe("2000 sessions are loaded with the cookie date with which they were saved, to the millisecond,", () => {
  const ages = Array.from({ length: 2000 }, (_, i) => 60_000 + i);

  test("if reading does not prolong", async () => {
    const store = t.store({ disableTouch: true });
    const drifts = new Set<number>();
    for (const age of ages) {
      const session = withCookie({}, age);
      await store.set("sid", session);
      const got = await store.get("sid");
      drifts.add(Number(got?.cookie.expires) - Number(session.cookie.expires));
    }
    expect([...drifts]).toEqual([0]);
  });

  test("if a loaded session is changed, and unless a late read prolongs", async () => {
    const store = t.store();
    await store.set("sid", withCookie({}));
    let exact = 0;
    for (const age of ages) {
      const loaded = await store.get("sid");
      if (loaded === null) throw new Error("it is gone");
      loaded.cookie.expires = new Date(Date.now() + age);
      loaded.userId = age;
      await store.set("sid", loaded);
      const got = await store.get("sid");
      const drift = Number(got?.cookie.expires) - Number(loaded.cookie.expires);
      if (drift === 0) exact++;
      // This read prolonged the session, so the date has to move.
      else expect(drift).toBeGreaterThanOrEqual(50);
    }
    expect(exact).toBeGreaterThan(1000);
  });

  test("if the clock ticks at each reading", async () => {
    const store = t.store({ disableTouch: true });
    let tick = Date.now();
    const now = vi.spyOn(Date, "now").mockImplementation(() => tick++);
    try {
      const session = withCookie({});
      await store.set("sid", session);
      const got = await store.get("sid");
      expect(Number(got?.cookie.expires)).toBe(Number(session.cookie.expires));
    } finally {
      now.mockRestore();
    }
  });
});

test("reading prolongs a session by its ttl", async () => {
  const store = t.store({ ttl: 60 });
  await store.set("sid", withCookie({}, null));
  await editFields(t.db, key, { la: Date.now() - 5000 });
  await t.db.pexpire(key, 1000);
  await store.get("sid");
  expect(await t.db.pttl(key)).toBeGreaterThan(59_000);
});

test("a session whose TTL was shortened is counted until its new end only", async () => {
  const store = t.store();
  await store.set("sid", withCookie({}, 60_000));
  await store.touch("sid", withCookie({}, 60));
  expect(await store.length()).toBe(1);
  await sleep(80);
  expect(await store.length()).toBe(0);
});

describe("a cookie date in the past ends the session", () => {
  test("at set", async () => {
    const store = t.store();
    await store.set("sid", withCookie({ userId: "alice" }));
    await store.set("sid", withCookie({ userId: "alice" }, -1));
    expect(await store.get("sid")).toBeNull();
    expect(await store.soid("alice")).toEqual({ sessions: [] });
  });

  test("at touch", async () => {
    const store = t.store();
    await store.set("sid", withCookie({}));
    await store.touch("sid", withCookie({}, 0));
    expect(await store.get("sid")).toBeNull();
  });

  test.each([0, -5])("if the ttl function returns %s", async (seconds) => {
    const store = t.store({ ttl: () => seconds });
    await store.set("sid", withCookie({}));
    expect(await store.get("sid")).toBeNull();
    expect(await store.length()).toBe(0);
  });

  test("in a request that sets maxAge to 0", async () => {
    const site = await t.site();
    const browser = site.browser();
    await browser.get("/login/alice");
    const thief = browser.copy();
    await browser.get("/max-age/0");
    expect((await thief.get("/me")).body).not.toHaveProperty("userId");
  });
});

describe("a cookie with a fixed date and no maxAge", () => {
  const until = (ms: number) => ({ cookie: { originalMaxAge: null, expires: new Date(Date.now() + ms), path: "/" } });

  test("keeps its date, however often the session is used", async () => {
    const store = t.store();
    const data = until(60_000) as unknown as SessionData;
    await store.set("sid", data);
    await editFields(t.db, key, { la: Date.now() - 1000 });
    for (let i = 0; i < 2; i++) {
      expect((await store.get("sid"))?.cookie.expires).toEqual(data.cookie.expires);
    }
  });

  test("ends the session at that date, even if the session was read meanwhile", async () => {
    const store = t.store();
    await store.set("sid", until(300) as unknown as SessionData);
    await sleep(200);
    expect(await store.get("sid")).not.toBeNull();
    await sleep(150);
    expect(await store.get("sid")).toBeNull();
  });

  test("with disableTTL does not end the session, and a save keeps it", async () => {
    const store = t.store({ disableTTL: true });
    await store.set("sid", { ...until(60_000), n: 1 } as unknown as SessionData);
    await store.set("sid", (await store.get("sid")) as SessionData);
    expect(await store.get("sid")).toMatchObject({ n: 1 });
  });
});

test("a Redis that is out of memory prolongs the session of a slow request, and refuses new data", async () => {
  const store = t.store();
  await store.set("sid", withCookie({ userId: "alice" }, 5000));
  const loaded = (await store.get("sid")) as SessionData;
  await sleep(1050);
  await t.db.config("SET", "maxmemory", "1");
  try {
    // express-session does this at the end of a request.
    loaded.cookie.expires = new Date(Date.now() + 5000);
    await store.touch("sid", loaded);
    expect(await t.db.pttl(key)).toBeGreaterThan(4500);
    expect(await readStored(t.db, "sess")).toMatchObject({ sessions: ["~sid"], problems: [] });
    const full = { name: "redisError", message: expect.stringContaining("OOM") };
    await expect(store.set("sid", Object.assign(loaded, { color: "red" }))).rejects.toMatchObject(full);
    await expect(store.set("other", withCookie({}))).rejects.toMatchObject(full);
  } finally {
    await t.db.config("SET", "maxmemory", "0");
  }
});

test("a session whose cookie has an invalid date gets the store's ttl", async () => {
  const store = t.store({ ttl: 100 });
  const cookie = Object.assign(new session.Cookie(), { expires: new Date(Number.NaN) });
  const data = { cookie, color: "red" } as unknown as SessionData;
  await store.set("sid", data);
  await store.touch("sid", data);
  expect(await t.db.pttl(key)).toBeGreaterThan(99_000);
  const loaded = await call<SessionData>((ready) => store.load("sid", ready));
  expect(loaded).toMatchObject({ color: "red", cookie: { originalMaxAge: null } });
  expect(loaded?.cookie.expires ?? null).toBeNull();
});

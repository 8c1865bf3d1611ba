import { inspect } from "node:util";
import session, { type SessionData } from "express-session";
import { describe, expect, expectTypeOf, test } from "vitest";
import { call } from "../contract/store.js";
import { rot13 } from "./support/serializers.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

describe("cookie.expires is a Date", () => {
  const fixed = new Date(Date.now() + 50_000);
  const cookies = {
    "that follows from the age": { originalMaxAge: 60_000, expires: new Date(Date.now() + 60_000) },
    "that is fixed": { originalMaxAge: null, expires: fixed },
  };
  describe.each(Object.entries(cookies))("%s", (_what, cookie) => {
    test.each([
      ["as JSON", {}],
      ["with a serializer", { serializer: rot13 }],
    ])("in get, all, soid and soapp, stored %s", async (_how, options) => {
      const store = t.store(options);
      await store.set("sid", { cookie, userId: "alice" });
      const got = await store.get("sid");
      expectTypeOf(got?.cookie.expires).toEqualTypeOf<Date | null | undefined>();
      const lists = [await store.soid("alice"), await store.soapp(60)].map(({ sessions }) => sessions[0]?.d);
      for (const data of [got, (await store.all())[0], ...lists]) {
        expect(data?.cookie.expires).toBeInstanceOf(Date);
        expect(Math.abs(Number(data?.cookie.expires) - Number(cookie.expires))).toBeLessThan(10_000);
      }
    });
  });

  test("and a value that is no date stays as it is", async () => {
    const store = t.store();
    await store.set("sid", { cookie: { originalMaxAge: null, expires: "tomorrow" as never } });
    expect((await store.get("sid"))?.cookie.expires).toBe("tomorrow");
  });
});

describe("a session without a cookie", () => {
  const bare = { userId: "alice" } as unknown as SessionData;
  const damaged = { cookie: null, userId: "alice" } as unknown as SessionData;

  test.each([
    ["no cookie", bare],
    ["null as its cookie", damaged],
  ])("with %s opens in express-session, with the cookie options of the site", async (_what, data) => {
    const store = t.store();
    const site = await t.site({ store, rolling: true, cookie: { maxAge: 60_000, sameSite: "strict" } });
    const browser = site.browser();
    await browser.get("/login/bob");
    await store.set(browser.sid, data);
    const { body, cookies } = await browser.get("/me");
    expect(body).toMatchObject({ userId: "alice", id: browser.sid });
    expect(cookies[0]).toMatch(/Expires=.*HttpOnly; SameSite=Strict$/);
    await browser.get("/set/color/red");
    expect(await store.get(browser.sid)).toMatchObject({ userId: "alice", color: "red" });
  });

  test("opens with load, without a site", async () => {
    const store = t.store();
    await store.set("sid", bare);
    const loaded = await call<SessionData>((done) => store.load("sid", done));
    expect(loaded).toMatchObject({ userId: "alice", cookie: { path: "/", httpOnly: true } });
    expect(loaded?.cookie).toBeInstanceOf(session.Cookie);
  });

  test("is written once, and then has a cookie", async () => {
    const store = t.store();
    const site = await t.site({ store });
    const browser = site.browser();
    await browser.get("/login/bob");
    await store.set(browser.sid, bare);
    await browser.get("/me");
    const commands = await t.redis.watch(() => browser.get("/me"));
    expect(commands).toHaveLength(1);
  });
});

describe("the store's own state", () => {
  async function sessions(): Promise<object[]> {
    const store = t.store();
    await store.set("the-secret-id", withCookie({ userId: "alice" }));
    const loaded = await call<SessionData>((done) => store.load("the-secret-id", done));
    return [(await store.get("the-secret-id")) as object, loaded as object];
  }

  const copies: Record<string, (one: object) => object> = {
    "JSON.stringify": (one) => JSON.parse(JSON.stringify(one)),
    structuredClone,
    "{ ...session }": (one) => ({ ...one }),
    "Object.assign": (one) => Object.assign({}, one),
    "Object.entries": (one) => Object.fromEntries(Object.entries(one)),
    "for in": (one) => {
      const copy: Record<string, unknown> = {};
      for (const key in one) copy[key] = (one as typeof copy)[key];
      return copy;
    },
    // lodash's clone copies the enumerable keys and symbols.
    "lodash's clone": (one) => {
      const symbols = Object.getOwnPropertySymbols(one).filter((s) =>
        Object.prototype.propertyIsEnumerable.call(one, s),
      );
      return Object.assign({}, ...[...Object.keys(one), ...symbols].map((key) => ({ [key]: Reflect.get(one, key) })));
    },
  };

  test.each(Object.entries(copies))("is not in a copy by %s", async (_how, copy) => {
    for (const one of await sessions()) {
      const copied = copy(one);
      expect(Reflect.ownKeys(copied).toSorted()).toEqual(["cookie", "userId"]);
      expect(inspect(copied, { depth: 9 })).not.toMatch(/RedisStore|Tracked|the-secret-id/);
    }
  });

  test("is in no log, and shows no session id if hidden properties are logged", async () => {
    for (const one of await sessions()) {
      expect(inspect(one, { depth: 9 })).not.toMatch(/RedisStore|Tracked|the-secret-id/);
      const hidden = Object.getOwnPropertySymbols(one).map((symbol) => Reflect.get(one, symbol));
      expect(inspect(hidden, { depth: 9, showHidden: true })).not.toMatch(/the-secret-id|alice/);
    }
  });
});

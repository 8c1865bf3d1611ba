import { setTimeout as sleep } from "node:timers/promises";
import session, { type SessionData, type Store } from "express-session";
import { beforeEach, describe, expect, test } from "vitest";

type Done<Result> = (error: unknown, result?: Result) => void;

/** Calls a method and waits for its callback. */
export function call<Result>(start: (done: Done<Result>) => unknown): Promise<Result | undefined> {
  return new Promise((resolve, reject) => {
    start((error, result) => (error ? reject(error) : resolve(result)));
  });
}

/** Checks the contract of a store of express-session. `open` returns a store without sessions. */
export function storeContract(name: string, open: () => Store | Promise<Store>): void {
  describe(`${name} as a store of express-session`, () => {
    let store: Store;

    beforeEach(async () => {
      store = await open();
    });

    const get = (sid: string) => call<SessionData | null>((done) => store.get(sid, done));
    const set = (sid: string, data: SessionData) => call((done) => store.set(sid, data, done));
    const touch = (sid: string, data: SessionData) => call((done) => store.touch?.(sid, data, () => done(null)));
    const destroy = (sid: string) => call((done) => store.destroy(sid, done));
    const length = () => call<number>((done) => store.length?.(done));

    async function all(): Promise<SessionData[]> {
      const sessions = await call<SessionData[] | Record<string, SessionData> | null>((done) => store.all?.(done));
      return Object.values(sessions ?? {});
    }

    test("get returns a session that was set", async () => {
      await set("a", sessionOf({ user: "alice" }));
      expect(await get("a")).toMatchObject({ user: "alice" });
    });

    test("get returns no session and no error for an unknown id", async () => {
      expect(await get("nobody")).toBeFalsy();
      await set("a", sessionOf({}));
      expect(await get("nobody")).toBeFalsy();
    });

    test("set replaces the whole session", async () => {
      await set("a", sessionOf({ one: 1, two: 2 }));
      await set("a", sessionOf({ two: 22 }));
      const got = await get("a");
      expect(got).toMatchObject({ two: 22 });
      expect(got).not.toHaveProperty("one");
    });

    test("get returns a copy that can be changed without effect on the store", async () => {
      await set("a", sessionOf({ list: [1] }));
      Object.assign((await get("a")) ?? {}, { list: [], more: true });
      const got = await get("a");
      expect(got).toMatchObject({ list: [1] });
      expect(got).not.toHaveProperty("more");
    });

    test("set stores a copy that later changes of the object do not affect", async () => {
      const data = sessionOf({ list: [1] });
      const written = set("a", data);
      Object.assign(data, { list: [], more: true });
      await written;
      const got = await get("a");
      expect(got).toMatchObject({ list: [1] });
      expect(got).not.toHaveProperty("more");
    });

    test.each(Object.entries(VALUES))("get returns %s unchanged", async (_what, value) => {
      await set("a", sessionOf({ value }));
      expect(Object.getOwnPropertyDescriptor(await get("a"), "value")?.value).toStrictEqual(value);
    });

    test("set omits values that JSON cannot represent", async () => {
      await set("a", sessionOf({ gone: undefined, fn: () => 1, symbol: Symbol("s"), here: 1 }));
      expect(Object.keys((await get("a")) ?? {}).sort()).toEqual(["cookie", "here"]);
    });

    test.each(KEYS)("set accepts the key %j", async (key) => {
      // In an object literal, "__proto__" would set the prototype.
      const data: SessionData = JSON.parse(`{${JSON.stringify(key)}:{"deep":[1]},"other":2}`);
      await set("a", Object.assign(data, sessionOf({})));
      const got = await get("a");
      expect(Object.getOwnPropertyDescriptor(got, key)?.value).toEqual({ deep: [1] });
      expect(Object.getPrototypeOf(got)).toBe(Object.prototype);
      expect(got).toMatchObject({ other: 2 });
    });

    test.each(IDS)("set accepts the id %j", async (sid) => {
      await set(sid, sessionOf({ sid }));
      await set(`${sid}x`, sessionOf({ sid: "another" }));
      expect(await get(sid)).toMatchObject({ sid });
      await destroy(sid);
      expect(await get(sid)).toBeFalsy();
      expect(await get(`${sid}x`)).toMatchObject({ sid: "another" });
    });

    test("get returns a session of 100 KB and 1,000 keys", async () => {
      const many = Object.fromEntries(Array.from({ length: 1200 }, (_, i) => [`key${i}`, "x".repeat(100)]));
      await set("a", sessionOf(many));
      expect(await get("a")).toMatchObject(many);
    });

    test("destroy ends only the session with the id", async () => {
      await set("a", sessionOf({}));
      await set("b", sessionOf({ user: "bob" }));
      await destroy("a");
      expect(await get("a")).toBeFalsy();
      expect(await get("b")).toMatchObject({ user: "bob" });
    });

    test("destroy does not fail for an unknown id", async () => {
      await expect(destroy("nobody")).resolves.toBeUndefined();
    });

    test("set works again after destroy, even with the same object", async () => {
      const data = sessionOf({ user: "alice" });
      await set("a", data);
      await destroy("a");
      await set("a", data);
      expect(await get("a")).toMatchObject({ user: "alice" });
    });

    test("length counts, all returns and clear ends all sessions", async () => {
      expect(await length()).toBe(0);
      expect(await all()).toEqual([]);
      for (const user of ["alice", "bob", "carol"]) await set(user, sessionOf({ user }));
      await set("alice", sessionOf({ user: "alice again" }));
      await destroy("carol");
      expect(await length()).toBe(2);
      expect((await all()).map((one) => (one as { user?: string }).user).sort()).toEqual(["alice again", "bob"]);
      await call((done) => store.clear?.(done));
      expect(await length()).toBe(0);
      expect(await all()).toEqual([]);
      expect(await get("alice")).toBeFalsy();
    });

    test("set works again after clear", async () => {
      await set("a", sessionOf({ round: 1 }));
      await call((done) => store.clear?.(done));
      await set("a", sessionOf({ round: 2 }));
      expect(await get("a")).toMatchObject({ round: 2 });
      expect(await length()).toBe(1);
    });

    test("get and length ignore a session whose cookie has expired", async () => {
      await set("short", sessionOf({}, 250));
      await set("long", sessionOf({}));
      expect(await get("short")).toBeTruthy();
      await sleep(270);
      expect(await get("short")).toBeFalsy();
      expect(await length()).toBe(1);
      expect(await all()).toHaveLength(1);
    });

    test("touch sets the expiry from the cookie and keeps the data", async () => {
      await set("a", sessionOf({ user: "alice" }, 250));
      await touch("a", sessionOf({ user: "mallory" }));
      await sleep(270);
      expect(await get("a")).toMatchObject({ user: "alice" });
    });

    test("touch does not create a session", async () => {
      await touch("nobody", sessionOf({}));
      expect(await get("nobody")).toBeFalsy();
      expect(await length()).toBe(0);
    });

    test("get returns a session whose cookie has no expires", async () => {
      await set("a", sessionOf({ user: "alice" }, null));
      const got = await get("a");
      expect(got).toMatchObject({ user: "alice" });
      expect(got?.cookie.expires ?? null).toBeNull();
      expect(got?.cookie.originalMaxAge).toBeNull();
    });

    test("load restores the date, the original maxAge and the settings of the cookie", async () => {
      const began = Date.now();
      const expires = new Date(began + 60_000);
      const cookie = { originalMaxAge: 60_000, expires, path: "/shop", httpOnly: true, secure: true, sameSite: "lax" };
      await set("a", { cookie } as SessionData);
      const loaded = await call<SessionData>((done) => store.load("a", done));
      expect(loaded).toBeInstanceOf(session.Session);
      expect(loaded?.cookie.expires).toBeInstanceOf(Date);
      const apart = Math.abs(Number(loaded?.cookie.expires) - expires.getTime());
      expect(apart).toBeLessThanOrEqual(Date.now() - began + 2);
      const { originalMaxAge, path, httpOnly, secure, sameSite } = loaded?.cookie ?? {};
      expect({ originalMaxAge, path, httpOnly, secure, sameSite }).toEqual({
        originalMaxAge: 60_000,
        path: "/shop",
        httpOnly: true,
        secure: true,
        sameSite: "lax",
      });
    });

    test("load returns nothing for an unknown id", async () => {
      expect(await call((done) => store.load("nobody", done))).toBeUndefined();
    });

    test("calls the callback once, after the method has returned", async () => {
      const methods: Record<string, (done: () => void) => unknown> = {
        set: (done) => store.set("a", sessionOf({}), done),
        get: (done) => store.get("a", done),
        touch: (done) => store.touch?.("a", sessionOf({}), done),
        all: (done) => store.all?.(done),
        length: (done) => store.length?.(done),
        destroy: (done) => store.destroy("a", done),
        clear: (done) => store.clear?.(done),
      };
      const calls: Record<string, string[]> = {};
      for (const [name, start] of Object.entries(methods)) {
        const seen: string[] = [];
        calls[name] = seen;
        await new Promise<void>((resolve) => {
          start(() => {
            seen.push("called");
            resolve();
          });
          seen.push("returned");
        });
        await sleep(5);
      }
      const once = ["returned", "called"];
      expect(calls).toEqual(Object.fromEntries(Object.keys(methods).map((name) => [name, once])));
    });
  });
}

function sessionOf(data: object, maxAge: number | null = 60_000): SessionData {
  const expires = maxAge === null ? null : new Date(Date.now() + maxAge);
  return { cookie: { originalMaxAge: maxAge, expires }, ...data };
}

const VALUES: Record<string, unknown> = {
  null: null,
  true: true,
  false: false,
  zero: 0,
  "a negative number": -12.5,
  "a number of 17 digits": 0.1 + 0.2,
  "the largest integer": Number.MAX_SAFE_INTEGER,
  "the largest number": Number.MAX_VALUE,
  "an empty string": "",
  "a string with line feeds and quotation marks": 'a\nb\r\n"c"\\d\u2028\0',
  "a string in other scripts": "딸기 🍓 ä",
  "half a surrogate pair": "\ud83d",
  "a string that looks like JSON": '{"a":1}',
  "an empty list": [],
  "an empty object": {},
  "a list of lists": [[], [1, [2, null]], { a: [] }],
  "a deep object": { a: { b: { c: [{ d: null }] } } },
};

const KEYS = [
  "__proto__",
  "constructor",
  "toString",
  "a.b",
  "a\nb",
  "",
  "id",
  "ttl",
  "to",
  '"quoted"',
  "{tag}",
  "딸기",
  "0",
  "length",
];

const IDS = ["a:b", "{tag}", "__proto__", "with space", 'q"uote', "back\\slash", "딸기", "*", "%7B", "x".repeat(300)];

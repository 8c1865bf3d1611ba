import { RedisStore as ConnectRedis10 } from "connect-redis10";
import type { SessionData } from "express-session";
import { createClient } from "redis";
import { describe, expect, test } from "vitest";
import type { RedisStore, RedisStoreOptions } from "../../src/express-session/index.js";
import type { ImportCounts } from "../../src/index.js";
import { call } from "../contract/store.js";
import { readStored } from "../support/index-check.js";
import { rot13 } from "./support/serializers.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();
const NONE: ImportCounts = { imported: 0, expired: 0, ended: 0, present: 0, damaged: 0 };

/** Writes sessions as connect-redis does, sid0 and so on. */
async function plant(count: number, data: (n: number) => object = (n) => ({ userId: `user${n}` })): Promise<void> {
  const old = t.connectRedis();
  for (let n = 0; n < count; n++) {
    await call((done) => old.set(`sid${n}`, withCookie(data(n)) as SessionData, done));
  }
}

describe("importSessions", () => {
  test("imports what connect-redis 10 wrote: user, data, cookie and the time that is left", async () => {
    const client = createClient({ url: t.redis.url });
    await client.connect();
    const old = new ConnectRedis10({ client, prefix: "shop:", ttl: 500 });
    const expires = new Date(Date.now() + 60_000);
    const aged = { ...withCookie({ passport: { user: "alice" }, cart: ["tea"] }), views: 3 };
    await call((done) => old.set("aged", aged as never, done));
    await call((done) => old.set("plain", withCookie({ userId: "bob" }, null) as never, done));
    await client.pExpire("shop:aged", 30_000);
    await client.pExpire("shop:plain", 400_000);
    const store = t.store({ client, prefix: "shop:", ttl: 500 });

    expect(await store.importSessions()).toEqual({ ...NONE, imported: 2, complete: true });
    expect(await t.db.keys("shop:*")).toEqual([]);
    for (const [sid, left] of [
      ["aged", 30_000],
      ["plain", 400_000],
    ] as const) {
      const pttl = await t.db.pttl(`rs:{shop}:s:~${sid}`);
      expect(pttl).toBeLessThanOrEqual(left);
      expect(pttl).toBeGreaterThan(left - 5000);
    }
    const [listed] = (await store.soid("alice")).sessions;
    expect(listed).toMatchObject({ ttl: 60, d: { cart: ["tea"], views: 3 } });
    expect(Math.abs((listed?.expires ?? 0) - (Date.now() + 30_000))).toBeLessThan(5000);
    expect(new Date(listed?.d.cookie.expires ?? 0).getTime()).toBeLessThan(expires.getTime());
    // The next request prolongs it, as always.
    expect(await store.get("aged")).toMatchObject({ cart: ["tea"], cookie: { originalMaxAge: 60_000 } });
    expect(await t.db.pttl("rs:{shop}:s:~aged")).toBeGreaterThan(55_000);
    expect(await store.killsoid("bob")).toEqual({ kill: 1 });
    expect((await readStored(t.db, "shop")).problems).toEqual([]);
    client.destroy();
  });

  const OPTIONS: [string, RedisStoreOptions, ttl: number][] = [
    ["disableTouch", { disableTouch: true }, 60],
    ["disableTTL", { disableTTL: true }, -1],
    ["a function for the ttl", { ttl: () => 400 }, 60],
    ["a ttl that is shorter than that of connect-redis", { ttl: () => 40 }, 60],
    ["hashIds", { hashIds: true }, 60],
  ];
  test.each(OPTIONS)("works with %s", async (_name, options, ttl) => {
    await plant(1);
    const store = t.store(options);
    expect(await store.importSessions()).toMatchObject({ imported: 1 });
    const [key = ""] = await t.db.keys("rs:{sess}:s:*");
    expect(Math.abs((await t.db.ttl(key)) - ttl)).toBeLessThanOrEqual(5);
    expect(await store.get("sid0")).toMatchObject({ userId: "user0" });
  });

  test("counts what it skips and why, and leaves keys that express-session did not write", async () => {
    await plant(3);
    const cookie = { originalMaxAge: null, expires: new Date(Date.now() - 5000) };
    await t.db.set("sess:past", JSON.stringify({ cookie, userId: "alice" }), "EX", 100);
    await t.db.set("sess:config", '{"theme":"dark"}');
    await t.db.set("sess:text", "not json");
    // JSON.parse reads it, JSON.stringify cannot write it.
    const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
    await t.db.set("sess:deep", `{"cookie":{"originalMaxAge":null},"deep":${deep}}`);
    await t.db.hset("sess:hash", "cookie", "1");
    const store = t.store();
    await store.get("sid1");
    await t.db.set("sess:sid1", JSON.stringify(withCookie({ userId: "user1" })), "EX", 100);
    const counts = { ...NONE, imported: 2, expired: 1, present: 1, damaged: 3, complete: true };
    const before = (await t.db.keys("*")).toSorted();
    expect(await store.importSessions({ dryRun: true })).toEqual(counts);
    expect((await t.db.keys("*")).toSorted()).toEqual(before);
    expect(await store.importSessions()).toEqual(counts);
    expect((await t.db.keys("sess:*")).toSorted()).toEqual(["sess:config", "sess:deep", "sess:hash", "sess:text"]);
    expect(await store.importSessions()).toEqual({ ...NONE, damaged: 3, complete: true });
  });

  test("reads sessions with the store's serializer, and leaves those of another", async () => {
    const text = await rot13.stringify(withCookie({ userId: "alice" }));
    await t.db.set("sess:sid", text, "EX", 100);
    expect(await t.store().importSessions()).toMatchObject({ imported: 0, damaged: 1 });
    expect(await t.store({ serializer: rot13 }).importSessions()).toMatchObject({ imported: 1, damaged: 0 });
    expect(await t.store({ serializer: rot13 }).get("sid")).toMatchObject({ userId: "alice" });
  });

  test("does not shorten a session that connect-redis wrote with a longer ttl", async () => {
    await t.db.set("sess:sid", JSON.stringify(withCookie({ userId: "alice" }, null)), "EX", 1_000_000);
    const store = t.store();
    await store.importSessions();
    const [listed] = (await store.soid("alice")).sessions;
    expect(await t.db.ttl("rs:{sess}:s:~sid")).toBeGreaterThan(999_000);
    expect(Math.abs((listed?.expires ?? 0) - Date.now() - 1_000_000_000)).toBeLessThan(10_000);
    // From the next request on, the store's own ttl applies.
    const session = (await store.get("sid")) as SessionData;
    await store.touch("sid", session);
    expect(await t.db.ttl("rs:{sess}:s:~sid")).toBeLessThanOrEqual(86_400);
  });

  test("imports a session whose TTL is longer than any that a session may have", async () => {
    await t.db.set("sess:sid", JSON.stringify(withCookie({ userId: "alice" })), "EX", 9_000_000_000_000_000);
    const store = t.store();
    expect(await store.importSessions()).toMatchObject({ imported: 1 });
    expect(await store.get("sid")).toMatchObject({ userId: "alice" });
  });

  test("reads large sessions one by one, and several small ones at once", async () => {
    await plant(30, (n) => ({ userId: `user${n}`, ...(n % 3 === 0 && { big: "x".repeat(300_000) }) }));
    const client = t.redis.client();
    const get = client.get.bind(client);
    let [large, small, most] = [0, 0, { large: 0, small: 0 }];
    client.get = (async (key: string) => {
      const isLarge = Number(key.slice("sess:sid".length)) % 3 === 0;
      if (isLarge) large++;
      else small++;
      most = { large: Math.max(most.large, large), small: Math.max(most.small, small) };
      const text = await get(key);
      if (isLarge) large--;
      else small--;
      return text;
    }) as typeof client.get;
    expect(await t.store({ client }).importSessions()).toEqual({ ...NONE, imported: 30, complete: true });
    expect(most.large).toBe(1);
    expect(most.small).toBeGreaterThan(3);
  });

  test("finds the sessions below a keyPrefix of the client", async () => {
    const client = t.redis.client({ keyPrefix: "app[1]:" });
    await client.set("sess:sid", JSON.stringify(withCookie({ userId: "alice" })), "EX", 100);
    await plant(1);
    const store = t.store({ client });
    expect(await store.importSessions()).toMatchObject({ imported: 1 });
    expect(await store.get("sid")).toMatchObject({ userId: "alice" });
    expect(await t.db.exists("sess:sid0")).toBe(1);
  });

  test("legacy: false may be set afterwards: nobody is signed out, and a logout ends all", async () => {
    await plant(50, () => ({ userId: "alice" }));
    expect(await t.store().importSessions()).toMatchObject({ imported: 50, complete: true });
    const store = t.store({ legacy: false });
    expect(await store.get("sid7")).toMatchObject({ userId: "alice" });
    expect(await store.killsoid("alice")).toEqual({ kill: 50 });
    for (let n = 0; n < 50; n++) expect(await t.store().get(`sid${n}`)).toBeNull();
    await expect(store.importSessions()).rejects.toMatchObject({ name: "invalidValue" });
  });

  test.each(["destroy", "killsoid", "clear", "the engine"] as const)(
    "does not bring back a session that %s ends between its reading and its writing",
    async (name) => {
      await plant(1);
      const app = t.store();
      const client = t.redis.client();
      const pttl = client.pttl.bind(client);
      client.pttl = (async (key: string) => {
        const left = await pttl(key);
        if (name === "destroy") await app.destroy("sid0");
        else if (name === "the engine") await t.rs.killsoid({ app: "sess", id: "user0" });
        else if (name === "killsoid") await app.killsoid("user0");
        else await app.clear();
        return left;
      }) as typeof client.pttl;
      expect(await t.store({ client }).importSessions()).toEqual({ ...NONE, ended: 1, complete: true });
      expect(await app.get("sid0")).toBeNull();
      expect(await t.db.keys("sess:*")).toEqual([]);
    },
  );

  const ENDS: [string, (store: RedisStore) => Promise<unknown>][] = [
    ["the engine", () => t.rs.kill({ app: "sess", ref: "~sid0" })],
    ["maxPerUser", () => t.store({ maxPerUser: 1 }).set("other", withCookie({ userId: "user0" }))],
    ["its expiry", () => t.db.del("rs:{sess}:s:~sid0")],
    ["destroy of another store without legacy", () => t.store({ legacy: false }).destroy("sid0")],
  ];
  describe.each([
    ["an import", (store: RedisStore) => store.importSessions()],
    ["a request", (store: RedisStore) => store.get("sid0")],
  ])("after %s that failed before it removed the source", (_what, takeOver) => {
    test.each(ENDS)("a session that %s ended does not come back", async (_how, end) => {
      await plant(1);
      const client = t.redis.client();
      client.del = (() => Promise.reject(new Error("the connection is lost"))) as typeof client.del;
      const store = t.store();
      await expect(takeOver(t.store({ client }))).rejects.toMatchObject({ name: "redisError" });
      expect(await store.get("sid0")).toMatchObject({ userId: "user0" });
      await end(store);
      // Tombstones last for a minute only.
      for (const key of await t.db.keys("rs:{sess}:s:*")) if ((await t.db.get(key)) === ">") await t.db.del(key);
      expect(await t.db.exists("sess:sid0")).toBe(1);
      expect(await store.importSessions()).toEqual({ ...NONE, ended: 1, complete: true });
      expect(await store.get("sid0")).toBeNull();
      expect(await t.db.exists("sess:sid0")).toBe(0);
      expect(await t.db.pttl("rs:{sess}:imported:~sid0")).toBeLessThanOrEqual(60_000);
    });
  });

  test("loses no session and no write of requests that are served meanwhile", async () => {
    await plant(200);
    const app = t.store();
    let running = true;
    const written = new Map<string, number>();
    const requests = (async () => {
      for (let n = 0; running || n < 100; n++) {
        const sid = `sid${(n * 7) % 200}`;
        const session = (await app.get(sid)) as (SessionData & { n?: number }) | null;
        expect(session).not.toBeNull();
        if (session === null) return;
        session.n = n;
        await app.set(sid, session);
        written.set(sid, n);
      }
    })();
    // Both rejections must be handled at the same time.
    const [{ imported, present }] = await Promise.all([
      t
        .store({ client: t.redis.client() })
        .importSessions()
        .finally(() => {
          running = false;
        }),
      requests,
    ]);
    expect(imported + present).toBeLessThanOrEqual(200);
    expect(imported).toBeGreaterThan(0);
    for (const [sid, n] of written) expect(await app.get(sid)).toMatchObject({ n });
    for (let n = 0; n < 200; n++) expect(await app.get(`sid${n}`)).toMatchObject({ userId: `user${n}` });
    expect((await readStored(t.db, "sess")).problems).toEqual([]);
  });

  test("refuses bad options", async () => {
    const refused = (options: object) => expect(t.store().importSessions(options as never)).rejects;
    await refused({ dryrun: true }).toThrow('Did you mean "dryRun"?');
    await refused({ dryRun: 1 }).toThrow("dryRun must be true or false");
  });
});

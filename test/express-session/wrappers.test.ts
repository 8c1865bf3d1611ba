import type session from "express-session";
import type { SessionData } from "express-session";
import { describe, expect, test } from "vitest";
import { RedisStore, type RedisStoreOptions } from "../../src/express-session/index.js";
import { readStored } from "../support/index-check.js";
import { type End, revivals, SETTINGS } from "./support/races.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

type Done = (error: unknown, session?: SessionData | null) => void;
type Copy = (session: SessionData) => SessionData;

/** A store that returns copies, like wrappers that cache, trace or validate sessions. */
function wrapped(copy: Copy, options: RedisStoreOptions = {}): RedisStore {
  class Wrapped extends RedisStore {
    override get(sid: string, done?: Done): Promise<SessionData | null> & void {
      return super.get(sid, (error, session) => done?.(error, session && copy(session))) as never;
    }
  }
  return new Wrapped({ client: t.db, ...options });
}

const COPIES: [string, Copy][] = [
  ["spreads", (session) => ({ ...session })],
  ["JSON", (session) => JSON.parse(JSON.stringify(session))],
  ["structuredClone", (session) => structuredClone(session)],
];

describe.each(COPIES)("behind a wrapper that copies by %s", (_how, copy) => {
  test("parallel requests lose no keys", async () => {
    const site = await t.site({ store: wrapped(copy) });
    const browser = site.browser();
    await browser.get("/login/alice");
    const writes = Array.from({ length: 8 }, (_, i) => browser.copy().get(`/gate/set/key${i}/1`));
    await site.gate.waitFor(8);
    site.gate.open();
    await Promise.all(writes);
    const { body } = await browser.get("/me");
    expect(Object.keys(body).filter((key) => key.startsWith("key"))).toHaveLength(8);
    expect(body).toMatchObject({ userId: "alice" });
  });

  test("a removed key stays removed", async () => {
    const site = await t.site({ store: wrapped(copy) });
    const browser = site.browser();
    await browser.get("/login/alice");
    await browser.get("/set/color/red");
    const slow = browser.copy().get("/gate/set/key/1");
    await site.gate.waitFor(1);
    await browser.get("/delete/color");
    site.gate.open();
    await slow;
    expect((await browser.get("/me")).body).not.toHaveProperty("color");
  });

  test.each(SETTINGS)("requests under way do not log a user in again who has logged out, %o", async (setting) => {
    const store = wrapped(copy);
    const site = await t.site({ store, ...setting });
    const ends: End[] = [
      ({ other }) => other.get("/logout"),
      ({ user }) => store.killsoid(user),
      ({ other }) => other.get("/regenerate"),
    ];
    for (const end of ends) expect(await revivals(site, end, 5)).toBe(0);
  });

  test("a request without changes does not undo the login of a parallel request in the index", async () => {
    const store = wrapped(copy);
    const site = await t.site({ store });
    const browser = site.browser();
    await browser.get("/login/alice");
    const slow = browser.copy().get("/gate/set/color/red");
    await site.gate.waitFor(1);
    await browser.get("/login/bob");
    site.gate.open();
    await slow;
    expect((await store.soid("alice")).sessions).toEqual([]);
    expect((await store.soid("bob")).sessions).toHaveLength(1);
    expect((await readStored(t.db, "sess")).problems).toEqual([]);
  });

  test("a request prolongs the session and moves its cookie's date", async () => {
    const site = await t.site({ store: wrapped(copy), cookie: { maxAge: 60_000 } });
    const browser = site.browser();
    await browser.get("/login/alice");
    await t.db.pexpire(`rs:{sess}:s:~${browser.sid}`, 5000);
    await new Promise((resolve) => setTimeout(resolve, 60));
    await browser.get("/me");
    expect(await t.db.pttl(`rs:{sess}:s:~${browser.sid}`)).toBeGreaterThan(55_000);
  });
});

test("a save through a wrapper that caches writes the changes only, and no stale keys", async () => {
  const cache = new Map<string, SessionData>();
  class Cached extends RedisStore {
    override get(sid: string, done?: Done): Promise<SessionData | null> & void {
      const cached = cache.get(sid);
      if (cached !== undefined) return process.nextTick(() => done?.(null, structuredClone(cached))) as never;
      return super.get(sid, (error, session) => {
        if (session) cache.set(sid, structuredClone(session));
        done?.(error, session && structuredClone(session));
      }) as never;
    }
  }
  const site = await t.site({ store: new Cached({ client: t.db }) });
  const plain = await t.site();
  const browser = site.browser();
  await browser.get("/login/alice");
  await browser.get("/set/color/red");
  await browser.copy(plain.url).get("/set/color/blue");
  await browser.get("/set/note/1");
  expect((await browser.copy(plain.url).get("/me")).body).toMatchObject({ color: "blue", note: "1" });
  await browser.copy(plain.url).get("/logout");
  await browser.get("/set/note/2");
  expect(await t.store().ids()).toEqual([]);
});

describe("createSession", () => {
  const key = "rs:{sess}:s:~sid";

  /** A session that express-session makes of loaded data. */
  function make(store: RedisStore, data: SessionData): session.Session & Record<string, unknown> {
    const req = { sessionID: "sid", sessionStore: store };
    return store.createSession(req as never, data) as session.Session & Record<string, unknown>;
  }

  test("tracks two sessions that are made of the same data separately", async () => {
    const store = t.store();
    await store.set("sid", withCookie({ color: "red" }));
    const data = (await store.get("sid")) as SessionData;
    const [one, other] = [make(store, data), make(store, data)];
    one.color = "blue";
    await store.set("sid", one as never);
    other.shape = "round";
    await store.set("sid", other as never);
    expect(await store.get("sid")).toMatchObject({ color: "blue", shape: "round" });
  });

  test("lets a touch prolong a session that was made of a cached copy", async () => {
    const store = t.store();
    await store.set("sid", withCookie({ color: "red" }, 60_000));
    const made = make(store, structuredClone((await store.get("sid")) as SessionData));
    await t.db.pexpire(key, 5000);
    await store.touch("sid", made as never);
    expect(await t.db.pttl(key)).toBeGreaterThan(50_000);
  });
});

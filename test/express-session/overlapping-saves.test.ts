import { setTimeout as sleep } from "node:timers/promises";
import session, { type SessionData } from "express-session";
import { beforeEach, describe, expect, test } from "vitest";
import { RedisStore, type Serializer } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { call } from "../contract/store.js";
import { readStored } from "../support/index-check.js";
import { done } from "./support/site.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

type Loaded = session.Session & SessionData & Record<string, unknown>;

/** A cipher that takes longer for shorter texts, so that texts are ready in another order. */
const uneven: Serializer = {
  parse: JSON.parse,
  async stringify(data) {
    const text = JSON.stringify(data);
    await sleep(text.length < 16 ? 15 : 1);
    return text;
  },
};

/** A session as express-session creates it for a new visitor. */
function begin(store: RedisStore, sid = "sid"): Loaded {
  const Session = session.Session as unknown as new (req: object, data: object) => Loaded;
  return new Session({ sessionID: sid, sessionStore: store }, withCookie({}));
}

/** A session that a request has loaded. */
async function load(store: RedisStore, sid = "sid"): Promise<Loaded> {
  await done((ready) => begin(store, sid).save(ready));
  return (await call<SessionData>((ready) => store.load(sid, ready))) as Loaded;
}

function save(one: Loaded): Promise<void> {
  return done((ready) => one.save(ready));
}

const kinds: [string, (store: RedisStore, sid?: string) => Loaded | Promise<Loaded>][] = [
  ["new", begin],
  ["loaded", load],
];
const ways: [string, { serializer?: Serializer }][] = [
  ["as JSON", {}],
  ["by a slow serializer", { serializer: uneven }],
];

describe.each(kinds)("a %s session", (_kind, make) => {
  describe.each(ways)("that is written %s", (_way, options) => {
    test("has the state of the last save, though that undoes a save under way", async () => {
      const store = t.store(options);
      const one = await make(store);
      one.a = 1;
      // Begins when the first save is answered and the second is under way.
      const third = save(one).then(() => {
        one.a = 1;
        delete one.userId;
        return save(one);
      });
      one.a = "quite another";
      one.userId = "alice";
      await Promise.all([third, save(one)]);
      const got = await store.get("sid");
      expect(got).toMatchObject({ a: 1 });
      expect(got).not.toHaveProperty("userId");
      expect((await store.soid("alice")).sessions).toEqual([]);
    });

    test("has the changes and removals of the second of two saves", async () => {
      const store = t.store(options);
      const one = await make(store);
      one.userId = "al";
      const first = save(one);
      delete one.userId;
      one.color = "red, or rather purple";
      await Promise.all([first, save(one)]);
      const got = await store.get("sid");
      expect(got).toMatchObject({ color: "red, or rather purple" });
      expect(got).not.toHaveProperty("userId");
    });

    test("is ended by a destroy that does not wait for the save before it", async () => {
      const store = t.store(options);
      const one = await make(store);
      one.userId = "alice";
      await Promise.all([save(one), done((ready) => one.destroy(ready))]);
      expect(await store.get("sid")).toBeNull();
      expect((await store.soid("alice")).sessions).toEqual([]);
    });

    test("is loaded with a save that is not answered yet", async () => {
      const store = t.store(options);
      const one = await make(store);
      one.a = 1;
      await Promise.all([save(one), store.get("sid").then((got) => expect(got).toMatchObject({ a: 1 }))]);
    });

    test("has the expected state after random saves, touches and ends", async () => {
      const store = t.store(options);
      for (let seed = 1; seed <= 30; seed++) await live(store, await make(store, `sid${seed}`), seed);
      expect((await readStored(t.db, "sess")).problems).toEqual([]);
    });
  });
});

/** Saves, touches and ends a session at random, mostly without waiting, and checks the result. */
async function live(store: RedisStore, one: Loaded, seed: number): Promise<void> {
  let state = seed;
  const chance = () => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const copy = () => JSON.parse(JSON.stringify({ ...one, cookie: undefined }));
  let expected = await store.get(one.id).then((stored) => stored && copy());
  let ended = false;
  const calls: Promise<unknown>[] = [];
  const act = async (): Promise<void> => {
    for (let i = 0; i < 3; i++) {
      const key = ["a", "b", "userId"][Math.floor(chance() * 3)] as string;
      if (chance() < 0.7) one[key] = key === "userId" ? "alice" : Math.floor(chance() * 3);
      else delete one[key];
      if (chance() < 0.6) {
        if (!ended) expected = copy();
        calls.push(save(one).then(() => (chance() < 0.3 ? act() : undefined)));
      }
      if (chance() < 0.05) {
        // A session that was never saved can still be saved for the first time after destroy.
        ended ||= expected !== null;
        expected = null;
        calls.push(store.destroy(one.id));
      }
      if (chance() < 0.1) calls.push(done((ready) => store.touch(one.id, one, ready)));
      if (chance() < 0.2) await sleep(Math.floor(chance() * 3));
    }
  };
  await act();
  for (const call of calls) await call;
  const got = await store.get(one.id);
  expect(got && { ...got, cookie: undefined }, `seed ${seed}`).toEqual(expected);
  const listed = (await store.soid("alice")).sessions.some(({ ref }) => ref === store.ref(one.id));
  expect(listed, `seed ${seed}`).toBe(got?.userId === "alice");
}

/** A store whose serializer fails once, at the first save. */
function storeThatFailsOnce(): RedisStore {
  let failures = 1;
  const serializer: Serializer = {
    parse: JSON.parse,
    async stringify(data) {
      if (failures-- > 0) throw new Error("the key server is away");
      return JSON.stringify(data);
    },
  };
  return t.store({ serializer });
}

test("a save after a first save whose serializer failed writes the whole session", async () => {
  const store = storeThatFailsOnce();
  const one = begin(store);
  one.a = 1;
  const first = save(one);
  one.b = 2;
  const second = save(one);
  await expect(first).rejects.toThrow("the key server is away");
  await second;
  expect(await store.get("sid")).toMatchObject({ a: 1, b: 2 });
});

test("a save after a first save whose serializer failed does not revive a session that was ended", async () => {
  const store = storeThatFailsOnce();
  const one = begin(store);
  const first = save(one);
  one.b = 2;
  const second = save(one);
  // Is sent right after the second save, which finds no session and then writes the whole one.
  const ended = store.destroy("sid");
  await expect(first).rejects.toThrow("the key server is away");
  await Promise.all([second, ended]);
  expect(await store.get("sid")).toBeNull();
});

test("a save after a first save whose script Redis lacked is sent again", async () => {
  const store = t.store();
  const other = await load(store, "other");
  await t.db.script("FLUSH");
  other.a = 1;
  // Now Redis has the script update, but not replace.
  await save(other);
  const one = begin(store);
  one.userId = "alice";
  const first = save(one);
  delete one.userId;
  await Promise.all([first, save(one)]);
  expect(await store.get("sid")).not.toHaveProperty("userId");
  expect(await store.soid("alice")).toEqual({ sessions: [] });
});

describe("a serializer that takes longer than the timeout", () => {
  let finish: (() => void)[];
  let store: RedisStore;

  beforeEach(() => {
    finish = [];
    const serializer: Serializer = {
      parse: JSON.parse,
      async stringify(data) {
        if ("late" in data) await new Promise<void>((resolve) => finish.push(resolve));
        return JSON.stringify(data);
      },
    };
    const rs = new RedisSessions({ client: t.db, timeout: 200, wipe: 0 });
    store = new RedisStore({ rs, app: "webapp", serializer });
  });

  test("fails its save with timeout and does not block other calls", async () => {
    const one = await load(store);
    one.late = true;
    const late = expect(save(one)).rejects.toMatchObject({ name: "timeout" });
    const [got] = await Promise.all([store.get("sid"), late]);
    expect(got).not.toBeNull();
  });

  test("revives no session that was ended meanwhile", async () => {
    const one = begin(store);
    one.late = true;
    await expect(save(one)).rejects.toMatchObject({ name: "timeout" });
    await store.destroy("sid");
    for (const ready of finish) ready();
    await sleep(50);
    expect(await store.get("sid")).toBeNull();
  });
});

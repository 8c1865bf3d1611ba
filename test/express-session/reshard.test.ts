import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions, type ShardCount } from "../../src/index.js";
import { keysOfShards, LEASE, reshard } from "../support/reshard.js";
import { readShards, shardOfRef } from "../support/shards.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();
const app = "webapp";
const USERS = 8;

const engines: RedisSessions[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((rs) => rs.quit()));
});

function engine(shards: ShardCount): RedisSessions {
  const rs = new RedisSessions({ client: t.redis.client(), wipe: 0, shards });
  internalsOf(rs).setLeaseTime(LEASE);
  engines.push(rs);
  return rs;
}

/** A store in another process. */
function open(shards: ShardCount): RedisStore {
  return new RedisStore({ rs: engine(shards), app, prefix: "sess:" });
}

interface Data {
  userId?: string;
  n: number;
  text: string;
  role?: string;
}

/** A user whose calls are made one after another by different processes, so that each answer is known in advance. */
class User {
  readonly #id: string;
  readonly #stores: readonly RedisStore[];
  readonly live = new Map<string, Data>();
  #ended = "";
  steps = 0;

  constructor(id: string, stores: readonly RedisStore[], live = new Map<string, Data>()) {
    this.#id = id;
    this.#stores = stores;
    this.live = live;
  }

  async run(isOver: () => boolean): Promise<void> {
    for (; !isOver(); this.steps++) await this.#step(Math.floor(Math.random() * 10));
  }

  get #store(): RedisStore {
    return this.#stores[Math.floor(Math.random() * this.#stores.length)] as RedisStore;
  }

  async #step(roll: number): Promise<void> {
    const [sid, data] = [...this.live][Math.floor(Math.random() * this.live.size)] ?? [];
    if (sid === undefined || data === undefined || (roll === 0 && this.live.size < 6)) return this.#signIn();
    if (roll === 1) {
      await this.#store.destroy(sid);
      this.live.delete(sid);
      this.#ended = sid;
    } else if (roll === 2) {
      const sums = await Promise.all([0, 1, 2].map(() => this.#store.increment(sid, "n")));
      expect(sums.map((sum) => sum?.value).sort()).toEqual([1, 2, 3].map((by) => data.n + by).sort());
      data.n += 3;
    } else if (roll === 3) {
      const { sessions } = await this.#store.soid(this.#id);
      expect(sessions.map(({ ref }) => ref).sort()).toEqual([...this.live.keys()].map((one) => `~${one}`).sort());
    } else if (roll === 4) {
      expect(await this.#store.setAll(this.#id, { role: `${this.steps}` } as object)).toEqual({ set: this.live.size });
      for (const one of this.live.values()) one.role = `${this.steps}`;
    } else if (roll === 5 && Math.random() < 0.3) {
      expect(await this.#store.killsoid(this.#id)).toEqual({ kill: this.live.size });
      expect((await this.#store.soid(this.#id)).sessions).toEqual([]);
      this.live.clear();
    } else if (roll === 6) {
      expect(await this.#store.get(this.#ended)).toBeNull();
    } else if (roll === 7) {
      // A request: it loads the session, and saves it.
      const store = this.#store;
      const loaded = await store.get(sid);
      expect(loaded).toMatchObject(data);
      data.text = `${this.steps} ${Math.random()}`;
      await store.set(sid, Object.assign(loaded as object, { text: data.text }) as never);
    } else expect(await this.#store.get(sid)).toMatchObject(data);
  }

  async #signIn(): Promise<void> {
    const sid = `${this.#id}-${Math.random()}`;
    const data = { userId: this.#id, n: 0, text: "new" };
    // It is anonymous first.
    const store = this.#store;
    await store.set(sid, withCookie({ n: 0, text: "new" }) as never);
    const loaded = await store.get(sid);
    await store.set(sid, Object.assign(loaded as object, data) as never);
    this.live.set(sid, data);
  }
}

test("reshard 1 → 4 → 16 → 4 under load loses no session and no change, and revives none", async () => {
  // The users are to act at random. No wiper runs here.
  vi.restoreAllMocks();
  const numbers: ShardCount[] = [1, 4, 16, 4];
  const first = open(1);
  const still = Array.from({ length: 100 }, (_, i) => `still${i}`);
  await Promise.all(still.map((sid, i) => first.set(sid, withCookie({ userId: `still${i % 30}` }) as never)));
  let users: User[] = [];
  for (const [i, to] of numbers.slice(1).entries()) {
    const from = numbers[i] as ShardCount;
    const moving = reshard(engine(from), app, to, { wait: 15 * LEASE });
    await expect.poll(() => t.db.zscore("rs:apps", `{${app}}>`)).toBe(`${to}`);
    const stores = [open(from), open(to), open(from)];
    const known = users;
    users = Array.from({ length: USERS }, (_, n) => new User(`user${n}`, stores, known[n]?.live));
    let isOver = false;
    const lists = (async () => {
      for (let round = 0; !isOver; round++) {
        const store = stores[round % 3] as RedisStore;
        const all = [await store.ids(), (await store.all()).map((one) => `${(one as { id?: string }).id}`)];
        for (const ids of all) {
          expect(new Set(ids).size).toBe(ids.length);
          expect(still.filter((sid) => !ids.includes(sid))).toEqual([]);
        }
        expect(await store.length()).toBeGreaterThanOrEqual(still.length);
        expect((await store.activity(3600)).activity).toBeLessThanOrEqual(30 + USERS);
        await sleep(20);
      }
    })();
    const load = [lists, ...users.map((user) => user.run(() => isOver))];
    expect(await Promise.race([moving, Promise.race(load)])).toMatchObject({ from, to, complete: true });
    await sleep(3 * LEASE);
    isOver = true;
    await Promise.all(load);
    for (const user of users) expect(user.steps).toBeGreaterThan(20);
  }
  const last = open(4);
  const expected = [...still, ...users.flatMap(({ live }) => [...live.keys()])];
  expect((await last.ids()).sort()).toEqual(expected.sort());
  for (const { live } of users) for (const [sid, data] of live) expect(await last.get(sid)).toMatchObject(data);
  for (const shards of [1, 16]) expect(await keysOfShards(t.db, app, shards)).toEqual([]);
  const { problems } = await readShards(t.db, app, 4);
  // A user's sessions are in several shards, and not in that of the user.
  expect(problems.filter((problem) => !problem.startsWith("users lacks"))).toEqual([]);
}, 60_000);

describe("rotate", () => {
  test("of an app that is about to move leaves a redirect that leads to the session afterwards, too", async () => {
    const store = open(1);
    const site = await t.site({ store });
    const browser = site.browser();
    await browser.get("/login/alice");
    await t.db.zadd("rs:apps", 16, `{${app}}>`);
    await sleep(2 * LEASE);
    const tab = browser.copy();
    expect((await browser.get("/rotate/1000")).body).toMatchObject({ rotated: true });
    expect(shardOfRef(store.ref(tab.sid), 16)).toBe(shardOfRef(store.ref(browser.sid), 16));
    await reshard(engine(1), app, 16);
    for (const one of [browser, tab]) expect((await one.get("/me")).body).toMatchObject({ userId: "alice" });
  });
});

test("maxPerUser of an app that has moved to several shards causes a warning", async () => {
  const warnings = vi.spyOn(process, "emitWarning").mockReturnValue(undefined);
  const store = new RedisStore({ rs: engine(1), app, prefix: "sess:", maxPerUser: 2 });
  await store.set("sid", withCookie({ userId: "alice" }) as never);
  expect(warnings).not.toHaveBeenCalled();
  await reshard(engine(1), app, 4);
  await store.set("other", withCookie({ userId: "alice" }) as never);
  expect(warnings).toHaveBeenCalledExactlyOnceWith(
    expect.stringContaining("The app has 4 shards"),
    expect.objectContaining({ code: "MAX_PER_USER_WITH_SHARDS" }),
  );
});

test("a session that was ended right before the move is not written again by a request under way", async () => {
  const store = open(1);
  await store.set("sid", withCookie({ userId: "alice" }) as never);
  await store.destroy("sid");
  await reshard(engine(1), app, 4);
  // @fastify/session saves an object of its own, and does not tell whether it was loaded.
  class Own {
    cookie = withCookie({}).cookie;
    userId = "alice";
  }
  await store.set("sid", new Own() as never);
  expect(await store.get("sid")).toBeNull();
});

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { RedisSessions, type ShardCount } from "../../src/index.js";
import { startCluster, type TestCluster } from "../support/cluster.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { keysOfShards, LEASE, reshard } from "../support/reshard.js";
import { readShards } from "../support/shards.js";

const app = "webapp";
const ip = "203.0.113.7";
/** Much longer than the lease and any call, also on a busy machine, ms. */
const WAIT = 15 * LEASE;

const USERS = 12;
const MAX = 3;

/** A session as it must be. */
interface Known {
  token: string;
  ref: string;
  n: number;
  text: string;
}

/**
 * A user whose calls are made one after another by different processes. So each answer is known in advance, however the app moves
 * meanwhile.
 */
class User {
  readonly #id: string;
  readonly #processes: readonly RedisSessions[];
  /** Oldest first. */
  readonly live: Known[] = [];
  readonly #ended: string[] = [];
  steps = 0;

  constructor(id: string, processes: readonly RedisSessions[]) {
    this.#id = id;
    this.#processes = processes;
  }

  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await this.#step();
      this.steps++;
    }
  }

  /** Any of the processes. */
  get #rs(): RedisSessions {
    return this.#processes[Math.floor(Math.random() * this.#processes.length)] as RedisSessions;
  }

  async #step(): Promise<void> {
    const one = this.live[Math.floor(Math.random() * this.live.length)];
    const roll = Math.floor(Math.random() * 12);
    if (one === undefined || roll === 0) return this.#signIn();
    if (roll === 1) return this.#end(one, (await this.#rs.kill({ app, token: one.token })).kill);
    if (roll === 2) return this.#rotate(one);
    if (roll === 3) return this.#together(one);
    if (roll === 4 && Math.random() < 0.3) return this.#endAll();
    if (roll === 5) {
      const { sessions } = await this.#rs.soid({ app, id: this.#id });
      expect(sessions.map(({ ref }) => ref).sort()).toEqual(this.live.map(({ ref }) => ref).sort());
      return;
    }
    if (roll === 6) {
      const gone = this.#ended.at(-1);
      if (gone !== undefined) expect(await this.#rs.get({ app, token: gone })).toBeNull();
      return;
    }
    if (roll === 7) {
      one.text = `${this.#id} ${this.steps} ${Math.random()}`;
      expect(await this.#rs.set({ app, token: one.token, d: { text: one.text } })).toMatchObject({ ref: one.ref });
    }
    const which = Math.random() < 0.5 ? { token: one.token } : { ref: one.ref };
    expect(await this.#rs.get({ app, ...which })).toMatchObject({ id: this.#id, d: { n: one.n, text: one.text } });
  }

  async #signIn(): Promise<void> {
    const text = "new";
    const created = await this.#rs.create({ app, id: this.#id, ip, d: { n: 0, text }, maxPerUser: MAX });
    this.live.push({ ...created, n: 0, text });
    for (const { token } of this.live.splice(0, this.live.length - MAX)) this.#ended.push(token);
  }

  #end(one: Known, kill: number): void {
    expect(kill).toBe(1);
    this.live.splice(this.live.indexOf(one), 1);
    this.#ended.push(one.token);
  }

  async #rotate(one: Known): Promise<void> {
    const { token } = one;
    const rotated = await this.#rs.rotate({ app, token, grace: 0 });
    expect(rotated).not.toBeNull();
    Object.assign(one, rotated);
    this.#ended.push(token);
  }

  /** Calls at the same time, on the same session and for the same user. */
  async #together(one: Known): Promise<void> {
    const sums = await Promise.all([0, 1, 2, 3].map(() => this.#rs.increment({ app, token: one.token, key: "n" })));
    expect(sums.map((sum) => sum?.value).sort()).toEqual([1, 2, 3, 4].map((by) => one.n + by).sort());
    one.n += 4;
  }

  async #endAll(): Promise<void> {
    // Which of the new ones survive is not known, only how many.
    await Promise.all(
      [0, 1, 2, 3, 4].map(() => this.#rs.create({ app, id: this.#id, ip, d: { n: 0 }, maxPerUser: MAX })),
    );
    const { sessions } = await this.#rs.soid({ app, id: this.#id });
    expect(sessions).toHaveLength(MAX);
    expect(await this.#rs.killsoid({ app, id: this.#id })).toEqual({ kill: MAX });
    expect((await this.#rs.soid({ app, id: this.#id })).sessions).toEqual([]);
    for (const { token } of this.live.splice(0)) this.#ended.push(token);
  }
}

/** Sessions that nobody uses. Every list of the app must have them, at any time. */
async function watchLists(processes: readonly RedisSessions[], still: readonly string[], isOver: () => boolean) {
  for (let i = 0; !isOver(); i++) {
    const rs = processes[i % processes.length] as RedisSessions;
    const { sessions } = await rs.soapp({ app, dt: 3600 });
    const refs = sessions.map(({ ref }) => ref);
    expect(new Set(refs).size).toBe(refs.length);
    expect(still.filter((ref) => !refs.includes(ref))).toEqual([]);
    const iterated: string[] = [];
    for await (const { ref } of rs.sessions({ app, dt: 3600 })) iterated.push(ref);
    expect(new Set(iterated).size).toBe(iterated.length);
    expect(still.filter((ref) => !iterated.includes(ref))).toEqual([]);
    const { activity } = await rs.activity({ app, dt: 3600 });
    expect(activity).toBeGreaterThanOrEqual(still.length);
    expect(activity).toBeLessThanOrEqual(still.length + USERS);
    await sleep(20);
  }
}

/** Waits until Redis says that the app will move to a number of shards. A process that has it is then accepted. */
async function announced(rs: RedisSessions, to: number): Promise<void> {
  const isAnnounced = async () => {
    const found = await internalsOf(rs).connection.command((client) => client.zscan("rs:apps", "0", "COUNT", 100));
    return found[1].includes(`{${app}}>`) && found[1].includes(String(to));
  };
  while (!(await isAnnounced()));
}

const opened: RedisSessions[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((rs) => rs.quit()));
});

/** Moves an app from number to number under load, and checks every answer. */
async function moveUnderLoad(open: (shards: ShardCount) => RedisSessions, numbers: readonly ShardCount[]) {
  const process = (shards: ShardCount) => {
    const rs = open(shards);
    internalsOf(rs).setLeaseTime(LEASE);
    opened.push(rs);
    return rs;
  };
  const [first = 1] = numbers;
  const rs = process(first);
  const still = await Promise.all(
    Array.from({ length: 150 }, async (_, i) => (await rs.create({ app, id: `still${i}`, ip })).ref),
  );
  let users: User[] = [];
  for (const [i, to] of numbers.slice(1).entries()) {
    const from = numbers[i] as ShardCount;
    const moving = reshard(process(from), app, to, { wait: WAIT });
    await announced(process(from), to);
    // As soon as the move is announced, and also after it, a process may have either number.
    const processes = [process(from), process(to), process(from)];
    const known = users;
    users = Array.from({ length: USERS }, (_, n) => new User(`user${n}`, processes));
    for (const [n, user] of users.entries()) user.live.push(...(known[n]?.live ?? []));
    let isOver = false;
    const load = [...users.map((user) => user.run(() => isOver)), watchLists(processes, still, () => isOver)];
    const failed = Promise.race(load);
    expect(await Promise.race([moving, failed])).toMatchObject({ from, to, complete: true });
    await sleep(3 * LEASE);
    isOver = true;
    await Promise.all(load);
    for (const user of users) expect(user.steps).toBeGreaterThan(20);
  }
  const to = numbers.at(-1) as ShardCount;
  const last = process(to);
  for (const user of users) {
    for (const { token, ref, n, text } of user.live)
      expect(await last.get({ app, token })).toMatchObject({ ref, d: { n, text } });
  }
  const { sessions } = await last.soapp({ app, dt: 3600 });
  const expected = [...still, ...users.flatMap(({ live }) => live.map(({ ref }) => ref))];
  expect(sessions.map(({ ref }) => ref).sort()).toEqual(expected.sort());
}

describe("reshard 1 → 4 → 16 → 4 under load", () => {
  const numbers: ShardCount[] = [1, 4, 16, 4];

  describe("on one server", () => {
    let redis: TestRedis;
    beforeAll(async () => {
      redis = await startRedis();
    });
    afterAll(() => redis.stop());

    test("loses no session and no change, revives none, and no limit is exceeded", async () => {
      await moveUnderLoad((shards) => new RedisSessions({ client: redis.client(), wipe: 0, shards }), numbers);
      const db = redis.client();
      for (const shards of [1, 16]) expect(await keysOfShards(db, app, shards)).toEqual([]);
      const stored = await readShards(db, app, 4);
      expect(stored.problems).toEqual([]);
    }, 60_000);
  });

  describe("on a Cluster of three masters", () => {
    let cluster: TestCluster;
    beforeAll(async () => {
      cluster = await startCluster();
    });
    afterAll(() => cluster.stop());

    test("loses no session and no change, revives none, and no limit is exceeded", async () => {
      await moveUnderLoad((shards) => new RedisSessions({ client: cluster.client, wipe: 0, shards }), numbers);
      for (const node of cluster.nodes) {
        for (const shards of [1, 16]) expect(await keysOfShards(node.client(), app, shards)).toEqual([]);
      }
    }, 60_000);
  });
});

import { setImmediate as tick } from "node:timers/promises";
import type { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CreateOptions, RedisSessions } from "../../src/index.js";
import { readStored } from "../support/index-check.js";
import { startRedis, type TestRedis } from "../support/redis.js";

const ROUNDS = 60;
const CALLS = 150;
const app = "webapp";
const ip = "127.0.0.1";
const users = ["alice", "bob", "carol"];

/** A session as the test knows it. */
interface TrackedSession {
  token: string;
  id: string;
  /** Whether a call that ended it has answered. */
  ended: boolean;
}

let redis: TestRedis;
let plain: Redis;
let engines: RedisSessions[];
let known: TrackedSession[] = [];

beforeAll(async () => {
  redis = await startRedis();
  plain = redis.client();
  // One connection for each: calls on a single connection never overtake each other.
  engines = Array.from({ length: 5 }, () => new RedisSessions({ client: redis.client(), wipe: 0, timeout: 10_000 }));
});

afterAll(() => redis.stop());

function below(n: number): number {
  return Math.floor(Math.random() * n);
}

function pick<Item>(items: readonly Item[]): Item {
  return items[below(items.length)] as Item;
}

async function signIn(options: Partial<CreateOptions> & { id: string }, rs = pick(engines)): Promise<void> {
  const { token } = await rs.create({ app, ip, ...options });
  known.push({ token, id: options.id, ended: false });
}

/** What a call may do; each checks what it gets, by what was certain when it began. */
const calls: ((rs: RedisSessions, one: TrackedSession, key: string) => Promise<unknown>)[] = [
  async (rs) => {
    const limits = pick([{}, {}, { maxPerUser: 3 }, { absolute: 3600 }, { no_resave: true }]);
    await signIn({ id: pick(users), ...limits }, rs);
  },
  async (rs, one) => {
    await signIn({ id: one.id, replaces: one.token, maxPerUser: 4 }, rs);
    one.ended = true;
  },
  async (rs, one) => {
    const { ended } = one;
    const session = await rs.get({ app, token: one.token, touch: below(2) === 0 });
    expect(session?.id).toBe(session === null ? undefined : one.id);
    if (ended) expect(session).toBeNull();
  },
  async (rs, one, key) => {
    const { ended } = one;
    const session = await rs.set({ app, token: one.token, d: { [key]: 1 } });
    if (session !== null) expect(session.d).toHaveProperty(key, 1);
    if (ended) expect(session).toBeNull();
  },
  async (rs, one) => {
    await rs.kill({ app, token: one.token });
    one.ended = true;
  },
  async (rs, one) => {
    const rotated = await rs.rotate({ app, token: one.token, grace: pick([0, 10]) });
    if (rotated !== null) known.push({ token: rotated.token, id: one.id, ended: false });
  },
  async (rs, one) => {
    if (below(4) > 0) return;
    const theirs = known.filter(({ id }) => id === one.id);
    await rs.killsoid({ app, id: one.id });
    for (const session of theirs) session.ended = true;
  },
  async (rs) => {
    const id = pick(users);
    const { sessions } = await rs.soid({ app, id });
    expect(sessions.filter((session) => session.id !== id)).toEqual([]);
    expect(new Set(sessions.map(({ ref }) => ref)).size).toBe(sessions.length);
  },
  async (rs) => void (await rs.soapp({ app, dt: 60, limit: 5 })),
  async (rs) => void (await rs.wipe()),
];

/** Makes some sessions expire, which leaves their entries in the index. */
async function expireSome(): Promise<void> {
  const refs = (await readStored(plain, app)).sessions.filter(() => below(4) === 0);
  for (const ref of refs) await plain.pexpire(`rs:{${app}}:s:${ref}`, 0);
}

/** Has the wiper look at everything, and drop what expired sessions have left. */
async function tidyUp(): Promise<void> {
  for (const entry of await plain.zrange(`rs:{${app}}:expiry`, "0", "-1")) {
    await plain.zadd(`rs:{${app}}:expiry`, "XX", 1, entry);
  }
  await pick(engines).wipe();
}

test("overlapping calls never hang or fail, ended sessions stay ended, and index and sessions agree", async () => {
  await signIn({ id: "alice" });
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all(
      Array.from({ length: CALLS }, async (_, i) => {
        for (let pauses = below(6); pauses > 0; pauses--) await tick();
        await pick(calls)(pick(engines), pick(known), `k${i}`);
      }),
    );
    for (const { token, ended } of known) {
      if (ended) expect(await pick(engines).get({ app, token, touch: false })).toBeNull();
    }
    await tidyUp();
    expect((await readStored(plain, app)).problems).toEqual([]);
    await expireSome();
    known = known.slice(-40);
  }
}, 60_000);

import { setImmediate as tick } from "node:timers/promises";
import type { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { CLIENT_NAMES, openClient, type TestClient } from "../support/clients.js";
import { readStored } from "../support/index-check.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { editFields } from "../support/session-text.js";

/** Engines with one connection each: calls on a single connection never overtake each other. */
const CONNECTIONS = 8;
const ip = "127.0.0.1";

let redis: TestRedis;
let plain: Redis;
let engines: RedisSessions[];

beforeAll(async () => {
  redis = await startRedis();
  plain = redis.client();
});

afterAll(() => redis.stop());

function engine(i: number): RedisSessions {
  return engines[i % CONNECTIONS] as RedisSessions;
}

/** Starts the calls in random order, with random pauses between them, so that every one of them wins at times. */
async function race<Result>(calls: (() => Promise<Result>)[]): Promise<Result[]> {
  return Promise.all(
    calls.map(async (call) => {
      for (let pauses = Math.floor(Math.random() * 6); pauses > 0; pauses--) await tick();
      return call();
    }),
  );
}

async function expectAgreement(app: string) {
  const stored = await readStored(plain, app);
  expect(stored.problems).toEqual([]);
  return stored;
}

async function endOrGiveUp<Result>(call: Promise<Result>): Promise<Result | "still busy after 3 s"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"still busy after 3 s">((resolve) => {
    timer = setTimeout(resolve, 3000, "still busy after 3 s");
  });
  return Promise.race([call, late]).finally(() => clearTimeout(timer));
}

describe.each(CLIENT_NAMES)("on %s", (name) => {
  let clients: TestClient[];

  beforeAll(async () => {
    await plain.flushdb();
    clients = Array.from({ length: CONNECTIONS }, () => openClient(name, redis.port));
    engines = clients.map(({ client }) => new RedisSessions({ client, wipe: 0 }));
  });

  afterAll(() => {
    for (const client of clients) client.close();
  });

  test("keeps every change when writers set different keys", async () => {
    const app = "sets";
    const { token } = await engine(0).create({ app, id: "alice", ip });
    for (let round = 1; round <= 200; round++) {
      await race(engines.map((rs, i) => () => rs.set({ app, token, d: { [`key${i}`]: round } })));
      const session = await engine(round).get({ app, token, touch: false });
      expect(session?.d).toEqual(Object.fromEntries(engines.map((_, i) => [`key${i}`, round])));
    }
    expect((await engine(0).get({ app, token }))?.w).toBe(1 + 200 * CONNECTIONS);
    await expectAgreement(app);
  });

  test("reads and writes under way do not revive a killed session", async () => {
    const app = "kill-use";
    const outcomes = { before: 0, after: 0 };
    for (let round = 0; round < 200; round++) {
      const { token, ref } = await engine(round).create({ app, id: "alice", ip });
      // Older than a second, so that any use prolongs it and writes index entries.
      await editFields(plain, `rs:{${app}}:s:${ref}`, { la: { add: -2000 } });
      const used = await race([
        async () => void expect(await engine(0).kill({ app, token })).toEqual({ kill: 1 }),
        () => engine(1).get({ app, token }),
        () => engine(2).set({ app, token, d: { a: round } }),
        () => engine(3).get({ app, ref }),
        () => engine(4).set({ app, ref, d: { b: round } }),
      ]);
      for (const session of used.slice(1)) outcomes[session ? "before" : "after"]++;
      expect(await engine(5).get({ app, token })).toBeNull();
      expect(await expectAgreement(app)).toMatchObject({ sessions: [], entries: 0 });
    }
    expect(Math.min(outcomes.before, outcomes.after)).toBeGreaterThan(0);
  });

  test("killsoid ends a session that is rotated at the same time", async () => {
    const app = "rotate-kill";
    const outcomes = { rotated: 0, dead: 0 };
    for (let round = 0; round < 200; round++) {
      const { token } = await engine(round).create({ app, id: "alice", ip });
      const { token: second } = await engine(round).create({ app, id: "alice", ip });
      let newest: string | undefined;
      await race<unknown>([
        async () => {
          newest = (await engine(0).rotate({ app, token }))?.token;
          if (newest) newest = (await engine(0).rotate({ app, token: newest, grace: 0 }))?.token ?? newest;
        },
        () => engine(1).rotate({ app, token: second }),
        () => engine(2).killsoid({ app, id: "alice" }),
      ]);
      outcomes[newest ? "rotated" : "dead"]++;
      for (const old of [token, second, newest ?? token]) expect(await engine(3).get({ app, token: old })).toBeNull();
      expect(await expectAgreement(app)).toMatchObject({ sessions: [], entries: 0 });
    }
    expect(Math.min(outcomes.rotated, outcomes.dead)).toBeGreaterThan(0);
  });

  test("exactly one of many concurrent calls of rotate gets the new token", async () => {
    const app = "rotate-rotate";
    for (let round = 0; round < 200; round++) {
      const { token } = await engine(round).create({ app, id: "alice", ip });
      const rotated = await race(engines.map((rs) => () => rs.rotate({ app, token })));
      const [winner, ...others] = rotated.filter((one) => one !== null);
      expect(others).toEqual([]);
      expect((await engine(round).get({ app, token }))?.ref).toBe(winner?.ref);
      expect((await expectAgreement(app)).sessions).toEqual([winner?.ref]);
      await engine(round).kill({ app, token });
    }
  });

  test("killsoid keeps the excepted session when it is rotated at the same time", async () => {
    const app = "except";
    for (let round = 0; round < 150; round++) {
      const { token: first } = await engine(round).create({ app, id: "alice", ip });
      for (let i = 0; i < 3; i++) await engine(i).create({ app, id: "alice", ip });
      let token = first;
      await race<unknown>([
        () => engine(0).killsoid({ app, id: "alice", except: first }),
        async () => {
          for (let i = 0; i < 3; i++) token = (await engine(1).rotate({ app, token }))?.token ?? "";
        },
      ]);
      const survivor = await engine(2).get({ app, token });
      expect(survivor?.id).toBe("alice");
      expect((await expectAgreement(app)).sessions).toEqual([survivor?.ref]);
      await engine(3).kill({ app, token });
    }
  });

  test("a session that is created during killall is afterwards complete or completely gone", async () => {
    const app = "create-killall";
    const outcomes = { there: 0, gone: 0 };
    for (let round = 0; round < 200; round++) {
      const before = await engine(1).create({ app, id: "bob", ip });
      const created = await race<{ token: string } | undefined>([
        async () => void (await engine(0).killall({ app })),
        ...engines.slice(1, 5).map((rs, i) => () => rs.create({ app, id: `user${i}`, ip })),
      ]);
      expect(await engine(2).get({ app, token: before.token })).toBeNull();
      for (const session of created.slice(1)) {
        const found = await engine(3).get({ app, token: session?.token as string });
        outcomes[found ? "there" : "gone"]++;
      }
      await expectAgreement(app);
    }
    expect(Math.min(outcomes.there, outcomes.gone)).toBeGreaterThan(0);
  });

  test("killsoid and killall return while sessions are created all the time", async () => {
    const app = "busy";
    let busy = true;
    const creators = engines.slice(2).map(async (rs) => {
      while (busy) await Promise.all(Array.from({ length: 5 }, () => rs.create({ app, id: "alice", ip })));
    });
    try {
      for (let i = 0; i < 3; i++) {
        const { token: first } = await engine(0).create({ app, id: "alice", ip });
        const user = await endOrGiveUp(engine(0).killsoid({ app, id: "alice" }));
        expect(await engine(1).get({ app, token: first })).toBeNull();
        const { token: second } = await engine(0).create({ app, id: "alice", ip });
        const all = await endOrGiveUp(engine(1).killall({ app }));
        expect(await engine(1).get({ app, token: second })).toBeNull();
        expect([user, all]).toEqual([{ kill: expect.any(Number) }, { kill: expect.any(Number) }]);
      }
    } finally {
      busy = false;
      await Promise.all(creators);
    }
  });

  test("exactly one of many concurrent calls of kill counts the session", async () => {
    const app = "kill-kill";
    for (let round = 0; round < 300; round++) {
      const { token, ref } = await engine(round).create({ app, id: "alice", ip });
      const killed = await race([
        ...engines.slice(0, 3).map((rs) => () => rs.kill({ app, token })),
        ...engines.slice(3, 6).map((rs) => () => rs.kill({ app, ref })),
        () => engine(6).killsoid({ app, id: "alice" }),
        () => engine(7).killall({ app }),
      ]);
      expect(killed.reduce((sum, { kill }) => sum + kill, 0)).toBe(1);
      expect(await expectAgreement(app)).toMatchObject({ sessions: [], entries: 0 });
    }
  });

  test("wipers that work at once count each expired session once", async () => {
    const app = "wipers";
    for (let round = 0; round < 5; round++) {
      const created = await Promise.all(
        Array.from({ length: 500 }, (_, i) => engine(i).create({ app, id: `user${i % 70}`, ip })),
      );
      const queue = await plain.zrange(`rs:{${app}}:expiry`, "0", "-1");
      await Promise.all(created.map(({ ref }) => plain.pexpire(`rs:{${app}}:s:${ref}`, 1)));
      await plain.zadd(`rs:{${app}}:expiry`, ...queue.flatMap((entry) => [1, entry]));
      while ((await plain.exists(created.map(({ ref }) => `rs:{${app}}:s:${ref}`))) > 0) await tick();

      const wiped = await race([() => engine(0).wipe(), () => engine(1).wipe()]);
      expect(wiped.reduce((sum, one) => sum + one.wiped, 0)).toBe(500);
      expect(await expectAgreement(app)).toMatchObject({ sessions: [], entries: 0 });
    }
  });
});

import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, RedisSessions } from "../../src/index.js";
import { ofIoredis, SENTINELS, type TestClient } from "../support/clients.js";
import { callsInOrder, everyMethod } from "../support/every-method.js";
import type { TestRedis } from "../support/redis.js";
import { startSentinel, type TestSentinel } from "../support/sentinel.js";

/** What a call that succeeded promises. */
interface Fact {
  kind: "login" | "logout";
  app: string;
  ref: string;
  /** When the call succeeded, as performance.now() has it. */
  at: number;
}

interface Load {
  readonly facts: Fact[];
  /** Ends the load when all calls have ended. */
  end(): Promise<void>;
}

const ip = "127.0.0.1";
/**
 * Redis replicates asynchronously: what the old master acknowledges in the moment in which its replica is promoted may be
 * lost. Far less than what is lost without min-replicas-to-write (1 s) or without failoverDetector (10 s).
 */
const MOMENT = 500;

let sentinel: TestSentinel;
const opened: TestClient[] = [];
const warnings: (Error & { code?: string })[] = [];
const note = (warning: Error) => void warnings.push(warning);

beforeAll(async () => {
  process.on("warning", note);
  sentinel = await startSentinel(["--min-replicas-to-write", "1", "--min-replicas-max-lag", "1"]);
});

afterAll(async () => {
  process.off("warning", note);
  for (const client of opened) client.close();
  await sentinel.stop();
});

function open(name: string): Client {
  const client = SENTINELS[name]?.(sentinel) as TestClient;
  opened.push(client);
  return client.client;
}

/** Signs users in and out, 50 times a second, and notes which calls succeeded. */
async function startLoad(app: string, client: Client): Promise<Load> {
  const rs = new RedisSessions({ client, wipe: 0 });
  const create = (id: string) => rs.create({ app, id, ip });
  // Sessions that both servers have before the failover: ten seconds of logouts, and more.
  const pool = await Promise.all(
    Array.from({ length: 1000 }, async (_, i) => ({
      single: await create(`single${i}`),
      pair: await Promise.all([create(`pair${i}`), create(`pair${i}`)]),
    })),
  );
  const facts: Fact[] = [];
  const calls = new Set<Promise<void>>();
  function call<Answer>(kind: Fact["kind"], answer: Promise<Answer>, refs: (answer: Answer) => string[]): void {
    const noted = answer.then(
      (value) => {
        const at = performance.now();
        facts.push(...refs(value).map((ref) => ({ kind, app, ref, at })));
      },
      // It may have happened or not.
      () => {},
    );
    calls.add(noted);
    void noted.finally(() => calls.delete(noted));
  }
  let round = 0;
  const timer = setInterval(() => {
    call("login", create(`new${round}`), ({ ref }) => [ref]);
    const known = pool[round];
    if (known) {
      call("logout", rs.kill({ app, token: known.single.token }), () => [known.single.ref]);
      call("logout", rs.killsoid({ app, id: `pair${round}` }), () => known.pair.map(({ ref }) => ref));
    }
    round++;
  }, 20);
  return {
    facts,
    async end() {
      clearInterval(timer);
      await Promise.all(calls);
    },
  };
}

/** Waits until a server says that it is a master. Returns when that was. */
async function promotion(redis: TestRedis): Promise<number> {
  const db = redis.client();
  while (!(await db.info("replication")).includes("role:master")) await sleep(10);
  return performance.now();
}

/** Returns the facts that do not hold on a server. */
async function broken(facts: Fact[], redis: TestRedis): Promise<Fact[]> {
  const db = redis.client();
  const exist = await Promise.all(facts.map(({ app, ref }) => db.exists(`rs:{${app}}:s:${ref}`)));
  return facts.filter(({ kind }, i) => (exist[i] === 1) !== (kind === "login"));
}

/** Runs a load on all clients, lets `change` replace the master, and checks what the calls have promised. */
async function expectNothingLost(change: (master: TestRedis) => Promise<void>, comesBack: boolean): Promise<void> {
  const master = await sentinel.master();
  const replica = await sentinel.replica();
  const loads: Load[] = [];
  for (const name of Object.keys(SENTINELS)) loads.push(await startLoad(name.replaceAll(" ", "-"), open(name)));
  await sleep(1000);
  const promoted = promotion(replica);
  await change(master);
  const moment = await promoted;
  // With a single replica the new master takes no writes until the old one follows it.
  const later = (load: Load) => load.facts.filter(({ at }) => at > moment + MOMENT).length;
  if (comesBack) await expect.poll(() => Math.min(...loads.map(later)), { timeout: 25_000 }).toBeGreaterThan(50);
  else await sleep(2000);
  await Promise.all(loads.map((load) => load.end()));
  for (const { facts } of loads) {
    expect(facts.filter(({ kind, at }) => kind === "login" && at < moment).length).toBeGreaterThan(10);
    expect(facts.filter(({ kind, at }) => kind === "logout" && at < moment).length).toBeGreaterThan(10);
    const lost = await broken(facts, replica);
    const times = lost.map(({ kind, at }) => `${kind} ${Math.round(at - moment)} ms after the promotion`);
    expect(times.filter((_, i) => Math.abs((lost[i]?.at ?? 0) - moment) > MOMENT)).toEqual([]);
  }
}

test.each(Object.keys(SENTINELS))(
  "every method works on a Sentinel's client of %s, and calls keep their order",
  async (name) => {
    const rs = new RedisSessions({ client: open(name), wipe: 0 });
    await everyMethod(rs);
    await callsInOrder(rs);
  },
);

describe("on a Sentinel's client with failoverDetector, where the master has min-replicas-to-write", () => {
  test("keeps acknowledged logins and logouts in a graceful failover", async () => {
    await expectNothingLost(async (master) => {
      await sentinel.failover();
      await sentinel.switched(master);
    }, true);
  }, 60_000);

  test("keeps acknowledged logins and logouts when a stopped master wakes", async () => {
    await expectNothingLost(async (master) => {
      master.pause();
      try {
        await sentinel.switched(master);
        await sleep(1000);
      } finally {
        master.resume();
      }
    }, false);
  }, 60_000);
});

test("warns once about a Sentinel client without failoverDetector, and about no other client", async () => {
  const { sentinels, name } = sentinel;
  const client = ofIoredis(new Redis({ sentinels, name }));
  opened.push(client);
  for (let i = 0; i < 2; i++) new RedisSessions({ client: client.client, wipe: 0 });
  await new Promise(setImmediate);
  const ours = warnings.filter(({ name }) => name === "IoredisSessionsWarning");
  expect(ours.map(({ code }) => code)).toEqual(["NO_FAILOVER_DETECTOR"]);
});

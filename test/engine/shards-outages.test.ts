import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { RedisSessions, type Session } from "../../src/index.js";
import { slotOf } from "../../src/redis/slot.js";
import { chunks } from "../../src/sessions/paging.js";
import { CLUSTERS, type TestClient } from "../support/clients.js";
import { startCluster, type TestCluster } from "../support/cluster.js";
import { readStored } from "../support/index-check.js";
import type { TestRedis } from "../support/redis.js";
import { shardOfRef, tagOf } from "../support/shards.js";

const SHARDS = 16;
const USERS = 24;
const app = "webapp";
/** A node that does not answer for this time in ms is down. */
const NODE_TIMEOUT = 1500;

let cluster: TestCluster;
let opened: TestClient | undefined;

afterEach(async () => {
  opened?.close();
  await cluster.stop();
});

function open(name: string): RedisSessions {
  opened = CLUSTERS[name]?.(cluster.nodes.map(({ port }) => port)) as TestClient;
  return new RedisSessions({ client: opened.client, wipe: 0, timeout: 2000, shards: SHARDS });
}

/** Users who work without a pause, and what must be true of their sessions. */
class Load {
  readonly #rs: RedisSessions;
  readonly #isSafe: (token: string) => Promise<boolean>;
  readonly #users: Promise<void>[];
  /** Token → the smallest `n` that its session must have, or that it has ended. */
  readonly #known = new Map<string, number | "ended">();
  #isOver = false;
  /** When each failed call began, and its error. */
  readonly failures: { readonly began: number; readonly error: unknown }[] = [];

  /** @param isSafe whether what was written for a session survives */
  constructor(rs: RedisSessions, isSafe: (token: string) => Promise<boolean> = async () => true) {
    this.#rs = rs;
    this.#isSafe = isSafe;
    this.#users = Array.from({ length: USERS }, (_, i) => this.#work(`user${i}`));
  }

  async #work(id: string): Promise<void> {
    let live: string[] = [];
    for (let n = 1; !this.#isOver; n++) {
      const began = performance.now();
      try {
        live = await this.#step(id, n, live);
      } catch (error) {
        this.failures.push({ began, error });
      }
      await sleep(2);
    }
  }

  /** Makes the n-th call of a user. Returns the tokens of the sessions that have not been ended. */
  async #step(id: string, n: number, live: readonly string[]): Promise<string[]> {
    const rs = this.#rs;
    const [first, ...others] = live;
    if (n % 10 < 4 || first === undefined) {
      const { token } = await rs.create({ app, id, ip: "::1", d: { n } });
      await this.#note([token], n);
      return [...live, token];
    }
    if (n % 10 < 8) {
      const token = live[n % live.length] as string;
      if ((await rs.set({ app, token, d: { n } })) !== null) await this.#note([token], n);
      return [...live];
    }
    const isAll = n % 100 === 99;
    const ending = isAll ? live : [first];
    // From now on they may have ended, also if the call fails.
    for (const token of ending) this.#known.delete(token);
    if (isAll) await rs.killsoid({ app, id });
    else await rs.kill({ app, token: first });
    await this.#note(ending, "ended");
    return isAll ? [] : others;
  }

  async #note(tokens: readonly string[], state: number | "ended"): Promise<void> {
    if (await this.#isSafe(tokens[0] as string)) for (const token of tokens) this.#known.set(token, state);
  }

  /** Stops the users. Returns what is not as it must be, and the number of sessions that were checked. */
  async stop(): Promise<{ checked: number; lost: string[]; revived: string[] }> {
    this.#isOver = true;
    await Promise.all(this.#users);
    const lost: string[] = [];
    const revived: string[] = [];
    const look = async ([token, state]: [string, number | "ended"]) => {
      const session = (await this.#rs.get({ app, token })) as Session<{ n: number }> | null;
      if (state === "ended" && session !== null) revived.push(session.ref);
      if (state !== "ended" && !(Number(session?.d?.n) >= state)) lost.push(`${session?.ref} lacks ${state}`);
    };
    for (const some of chunks([...this.#known])) await Promise.all(some.map(look));
    return { checked: this.#known.size, lost, revived };
  }
}

/** Returns the differences between the indexes of all shards and their sessions. */
async function problems(nodes: readonly TestRedis[]): Promise<string[]> {
  const found: string[] = [];
  for (let shard = 0; shard < SHARDS; shard++) {
    const tag = tagOf(app, shard, SHARDS);
    for (const node of nodes) {
      const redis = node.client();
      // Other nodes, and replicas, answer that the slot is not theirs.
      const isMaster = await redis.exists(`rs:{${tag}}:active`).catch(() => undefined);
      if (isMaster === undefined) continue;
      const stored = await readStored(redis, tag);
      const strays = stored.sessions.filter((ref) => shardOfRef(ref, SHARDS) !== shard);
      found.push(...stored.problems, ...strays);
    }
  }
  return found;
}

describe.each([
  ["ioredis 6", 0],
  // It looks for the new master 5 s after it first failed to connect to the old one.
  ["node-redis 6", 6000],
])("an app with 16 shards, with %s", (name, noticesAfter) => {
  test("loses nothing while a node is added and slots move to it, and no call fails", async () => {
    cluster = await startCluster();
    const rs = open(name);
    const load = new Load(rs);
    await sleep(300);
    await cluster.add();
    const added = cluster.nodes.length - 1;
    for (const tag of ["rs:apps", ...[1, 5, 6, 11].map((shard) => tagOf(app, shard, SHARDS))]) {
      await cluster.move(slotOf(tag), undefined, added);
    }
    await sleep(300);
    const { checked, lost, revived } = await load.stop();
    expect(load.failures).toEqual([]);
    expect(checked).toBeGreaterThan(USERS);
    expect({ lost, revived }).toEqual({ lost: [], revived: [] });
    expect(Number(await cluster.nodes[added]?.client().dbsize())).toBeGreaterThan(0);
    await rs.wipe();
    expect(await problems(cluster.nodes)).toEqual([]);
  }, 60_000);

  test("loses nothing that a replica has when a master is killed, and no call fails afterwards", async () => {
    cluster = await startCluster(["--cluster-node-timeout", `${NODE_TIMEOUT}`, "--repl-diskless-sync-delay", "0"]);
    for (const master of cluster.nodes.slice(0, 3)) {
      const id = await master.client().call("CLUSTER", "MYID");
      const replica = (await cluster.add()).client();
      await replica.call("CLUSTER", "REPLICATE", `${id}`);
      while (!(await replica.info("replication")).includes("master_link_status:up")) await sleep(50);
    }
    const rs = open(name);
    const masters = cluster.nodes.slice(0, 3).map((node) => node.client({ maxRetriesPerRequest: 0 }));
    let isDown = false;
    const load = new Load(rs, async (token) => {
      const tag = tagOf(app, shardOfRef(token, SHARDS), SHARDS);
      const owner = Math.floor(slotOf(tag) / 5461.4);
      if (isDown && owner === 0) return false;
      // A replica that has this write has all earlier ones.
      await masters[owner]?.set(`{${tag}}`, "");
      return Number(await masters[owner]?.wait(1, 500)) > 0;
    });
    await sleep(500);
    const killed = performance.now();
    isDown = true;
    await cluster.nodes[0]?.kill();
    const survivors = cluster.nodes.slice(1);
    const promoted = cluster.nodes[3]?.client();
    while (!(await promoted?.info("replication"))?.includes("role:master")) await sleep(20);
    for (const node of survivors) {
      while (!String(await node.client().call("CLUSTER", "INFO")).includes("cluster_state:ok")) await sleep(20);
    }
    const noticed = Math.max(performance.now(), killed + noticesAfter);
    await sleep(noticed + 1000 - performance.now());
    const { checked, lost, revived } = await load.stop();
    expect(load.failures.length).toBeGreaterThan(0);
    // A call that was in flight at the kill may fail, too.
    expect(load.failures.filter(({ began }) => began < killed - 1000 || began > noticed)).toEqual([]);
    expect(checked).toBeGreaterThan(USERS);
    expect({ lost, revived }).toEqual({ lost: [], revived: [] });
    await rs.wipe();
    expect(await problems(survivors)).toEqual([]);
  }, 60_000);
});

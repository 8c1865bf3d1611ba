import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Client } from "../../src/index.js";
import { clientOf } from "../../src/redis/recognise.js";
import { Subscriber, type Subscription } from "../../src/redis/subscriber.js";
import {
  CLIENT_NAMES,
  CLUSTERS,
  ofIoredis,
  ofNodeRedis,
  openClient,
  SENTINELS,
  type TestClient,
} from "../support/clients.js";
import { startCluster } from "../support/cluster.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { startSentinel } from "../support/sentinel.js";

const CHANNEL = "rs:{webapp}:changes";

const POLL = { timeout: 20_000, interval: 20 };

const opened: TestClient[] = [];

interface Heard {
  readonly subscriber: Subscriber;
  readonly subscription: Subscription;
  readonly messages: string[];
  /** The events of the subscription, and its epoch at that time. */
  readonly log: [what: "established" | "lost", epoch: number][];
}

function hear(client: Client, channel = CHANNEL): Heard {
  const subscriber = new Subscriber(clientOf(client));
  const messages: string[] = [];
  const log: Heard["log"] = [];
  const subscription: Subscription = subscriber.subscribe(channel, {
    onMessage: (message) => messages.push(message),
    onEstablished: () => log.push(["established", subscription.epoch]),
    onLost: () => log.push(["lost", subscription.epoch]),
  });
  return { subscriber, subscription, messages, log };
}

function established({ subscription }: Heard, timeout = 10_000): Promise<void> {
  return expect.poll(() => subscription.epoch, { timeout, interval: 10 }).toBeGreaterThan(0);
}

afterAll(() => {
  for (const { close } of opened) close();
});

describe("on one server", () => {
  let redis: TestRedis;
  let db: Redis;
  beforeAll(async () => {
    redis = await startRedis();
    db = redis.client();
  });
  afterAll(() => redis.stop());

  const subscribers = async () => Number(((await db.pubsub("NUMSUB", CHANNEL)) as unknown[])[1]);

  describe.each(CLIENT_NAMES)("%s", (name) => {
    function open(): Client {
      const client = openClient(name, redis.port);
      opened.push(client);
      return client.client;
    }

    test("hears messages in order", async () => {
      const heard = hear(open());
      await established(heard);
      const sent = Array.from({ length: 500 }, (_, i) => `${i}\n"é"`);
      for (const message of sent) void db.publish(CHANNEL, message);
      await expect.poll(() => heard.messages.length).toBe(500);
      expect(heard.messages).toEqual(sent);
      heard.subscriber.close();
    });

    test("notices a cut connection, and then has a new epoch", async () => {
      const heard = hear(open());
      await established(heard);
      const before = heard.subscription.epoch;
      await db.call("CLIENT", "KILL", "TYPE", "pubsub");
      await expect.poll(() => heard.log, { interval: 5 }).toContainEqual(["lost", 0]);
      await established(heard);
      expect(heard.subscription.epoch).toBeGreaterThan(before);
      expect(heard.log.map(([what]) => what)).toEqual(["established", "lost", "established"]);
      await db.publish(CHANNEL, "again");
      await expect.poll(() => heard.messages).toEqual(["again"]);
      heard.subscriber.close();
    });

    test("notices a silent connection within a few seconds", async () => {
      const heard = hear(open());
      await established(heard);
      redis.pause();
      try {
        await expect.poll(() => heard.subscription.epoch, { timeout: 6000 }).toBe(0);
      } finally {
        redis.resume();
      }
      await established(heard);
      heard.subscriber.close();
    });

    test("opens one connection for several channels, and closes it with the last", async () => {
      await expect.poll(subscribers).toBe(0);
      const heard = hear(open());
      const others = ["a", "b"].map((channel) => heard.subscriber.subscribe(channel, { onMessage: () => {} }));
      const again = heard.subscriber.subscribe(CHANNEL, { onMessage: () => {} });
      await established(heard);
      await expect.poll(() => others.every(({ epoch }) => epoch > 0)).toBe(true);
      const clients = String(await db.client("LIST", "TYPE", "PUBSUB"))
        .trim()
        .split("\n");
      expect(clients.filter((line) => line.includes("sub=3"))).toHaveLength(1);
      heard.subscription.close();
      expect(await subscribers()).toBe(1);
      again.close();
      await expect.poll(subscribers).toBe(0);
      for (const other of others) other.close();
      await expect.poll(async () => String(await db.client("LIST", "TYPE", "PUBSUB")).trim()).toBe("");
      expect(heard.subscription.epoch).toBe(0);
    });

    test("a closed subscriber has no connection, and opens none", async () => {
      const heard = hear(open());
      heard.subscriber.close();
      await sleep(100);
      expect(heard.subscriber.subscribe(CHANNEL, { onMessage: () => {} }).epoch).toBe(0);
      await expect.poll(subscribers).toBe(0);
    });
  });

  test("survives a stall of the event loop, in which the sign of life came", async () => {
    const heard = hear(db);
    await established(heard);
    // The second PING is sent after a second. Its answer is due after another one.
    await sleep(800);
    redis.pause();
    await sleep(900);
    redis.resume();
    for (const start = performance.now(); performance.now() - start < 600; );
    await sleep(50);
    expect(heard.log.map(([what]) => what)).toEqual(["established"]);
    heard.subscriber.close();
  });

  test("survives a restart of the server", async () => {
    const client = openClient("ioredis 6", redis.port);
    opened.push(client);
    const heard = hear(client.client);
    await established(heard);
    await redis.kill();
    await expect.poll(() => heard.subscription.epoch).toBe(0);
    await redis.start();
    await established(heard);
    heard.subscriber.close();
  });

  test.each([
    ["ioredis", () => ofIoredis(new Redis({ port: redis.port, keyPrefix: "my:" }))],
    ["node-redis", () => ofNodeRedis(createClient({ socket: { port: redis.port }, keyPrefix: "my:" }))],
  ])("adds the key prefix of a client of %s, as its scripts do", async (_name, open) => {
    const client = open();
    opened.push(client);
    const heard = hear(client.client);
    await established(heard);
    await db.publish(`my:${CHANNEL}`, "prefixed");
    await expect.poll(() => heard.messages).toEqual(["prefixed"]);
    heard.subscriber.close();
  });

  test("warns once that the rights are missing", async () => {
    const warnings: (Error & { code?: string })[] = [];
    const note = (warning: Error) => void warnings.push(warning);
    process.on("warning", note);
    await db.acl("SETUSER", "limited", "on", "nopass", "+@all", "~*", "resetchannels");
    const client = ofIoredis(redis.client({ username: "limited", password: "any" }));
    const heard = hear(client.client);
    await expect.poll(() => warnings.map(({ code }) => code)).toEqual(["NO_SUBSCRIPTION"]);
    await db.acl("SETUSER", "limited", "&rs:*");
    await established(heard);
    expect(warnings).toHaveLength(1);
    process.off("warning", note);
    heard.subscriber.close();
  });
});

test("on a Cluster, every client hears the node of a channel, also after its slot has moved", async () => {
  const cluster = await startCluster();
  const clients = Object.values(CLUSTERS).map((open) => open(cluster.nodes.map(({ port }) => port)));
  try {
    const channels = ["rs:{a}:changes", "rs:{b}:changes", "rs:{c}:changes"] as const;
    const [moving, ...others] = channels;
    const all = clients.map(({ client }) => channels.map((channel) => hear(client, channel)));
    for (const heard of all.flat()) await established(heard);
    for (const channel of channels) await cluster.client.spublish(channel, channel);
    for (const { messages } of all.flat()) await expect.poll(() => messages.length).toBe(1);
    expect(all.map((three) => three.map(({ messages }) => messages[0]))).toEqual(clients.map(() => channels));

    await cluster.move(await cluster.slotOf(moving));
    const firsts = all.map(([first]) => first as Heard);
    for (const { log } of firsts) await expect.poll(() => log.map(([what]) => what), POLL).toContain("lost");
    for (const heard of firsts) await established(heard);
    for (const channel of [moving, ...others]) await cluster.client.spublish(channel, "moved");
    for (const { messages } of all.flat()) await expect.poll(() => messages[1]).toBe("moved");
    for (const { subscriber } of all.flat()) subscriber.close();
  } finally {
    for (const { close } of clients) close();
    await cluster.stop();
  }
});

test("on a Sentinel, every client hears the new master after a failover", async () => {
  const sentinel = await startSentinel();
  const clients = Object.values(SENTINELS).map((open) => open(sentinel));
  try {
    const all = clients.map(({ client }) => hear(client));
    for (const heard of all) await established(heard);
    const master = await sentinel.master();
    const replica = await sentinel.replica();
    await master.client().publish(CHANNEL, "before");
    for (const { messages } of all) await expect.poll(() => messages).toEqual(["before"]);
    await master.kill();
    for (const { log } of all) await expect.poll(() => log.map(([what]) => what), POLL).toContain("lost");
    await sentinel.switched(master);
    const db = replica.client();
    for (const { messages } of all) {
      await expect
        .poll(async () => {
          await db.publish(CHANNEL, "after");
          return messages;
        }, POLL)
        .toContain("after");
    }
    for (const { subscriber } of all) subscriber.close();
  } finally {
    for (const { close } of clients) close();
    await sentinel.stop();
  }
}, 60_000);

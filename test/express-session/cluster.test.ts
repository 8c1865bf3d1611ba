import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RedisStore, type RedisStoreOptions } from "../../src/express-session/index.js";
import { storeContract } from "../contract/store.js";
import { CLUSTERS, type TestClient } from "../support/clients.js";
import { startCluster, type TestCluster } from "../support/cluster.js";
import { lostKeys, revivals } from "./support/races.js";
import { openSite } from "./support/site.js";
import { withCookie } from "./support/stores.js";

let cluster: TestCluster;
let stores = 0;

beforeAll(async () => {
  cluster = await startCluster();
  cluster.client.setMaxListeners(0);
});

afterAll(() => cluster.stop());

/** A store with a new prefix, so that it has no sessions and its keys have their own slot. */
const open = (options: RedisStoreOptions = {}) =>
  new RedisStore({ client: cluster.client, prefix: `app${stores++}:`, ...options });

storeContract("RedisStore on a Cluster", () => open());

const others = new Map<string, TestClient>();
afterAll(() => {
  for (const client of others.values()) client.close();
});
for (const name of Object.keys(CLUSTERS)) {
  storeContract(`RedisStore on a Cluster of ${name}`, () => {
    const client = others.get(name) ?? (CLUSTERS[name]?.(cluster.nodes.map(({ port }) => port)) as TestClient);
    others.set(name, client);
    return open({ client: client.client });
  });
}

describe("on a Cluster", () => {
  test("lists, counts and logs out users", async () => {
    const store = open();
    for (const sid of ["a", "b", "c"]) await store.set(sid, withCookie({ userId: "alice" }));
    await store.set("d", withCookie({ userId: "bob" }));
    expect((await store.soid("alice")).sessions).toHaveLength(3);
    expect((await store.soapp(60)).sessions).toHaveLength(4);
    expect(await store.activity(60)).toEqual({ activity: 2 });
    expect((await store.ids()).sort()).toEqual(["a", "b", "c", "d"]);
    expect(await store.killsoid("alice", { except: "b" })).toEqual({ kill: 2 });
    expect((await store.ids()).sort()).toEqual(["b", "d"]);
    await store.touch("b", withCookie({}, 90_000));
    await store.destroy("d");
    expect(await store.length()).toBe(1);
  });

  test("lists and clears 250 sessions in chunks", async () => {
    const store = open();
    await Promise.all(Array.from({ length: 250 }, (_, i) => store.set(`sid${i}`, withCookie({ userId: "alice" }))));
    expect(await store.length()).toBe(250);
    expect(await store.all()).toHaveLength(250);
    await store.clear();
    expect(await store.length()).toBe(0);
  });

  test.each(["ioredis 6", "node-redis 5", "node-redis 6"])(
    "%s takes over a session from another slot",
    async (name) => {
      const left = JSON.stringify({ cookie: { originalMaxAge: null }, userId: "alice" });
      const prefix = `left by ${name}:`;
      const store = open({ prefix, client: (others.get(name) as TestClient).client });
      for (let i = 0; i < 10; i++) {
        await cluster.client.set(`${prefix}sid${i}`, left);
        expect(await store.get(`sid${i}`)).toMatchObject({ userId: "alice" });
        expect(await cluster.client.exists(`${prefix}sid${i}`)).toBe(0);
      }
      expect(await store.killsoid("alice")).toEqual({ kill: 10 });
    },
  );

  test("revives no session and loses no key", async () => {
    const store = open();
    const site = await openSite({ store, resave: true });
    try {
      expect(await revivals(site, ({ other }) => other.get("/logout"), 10)).toBe(0);
      expect(await revivals(site, ({ user }) => store.killsoid(user), 10)).toBe(0);
      expect(await lostKeys(site, 20)).toBe(0);
    } finally {
      await site.close();
    }
  });
});

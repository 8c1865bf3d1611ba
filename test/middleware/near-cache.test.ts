import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import type { Middleware } from "../../src/middleware/index.js";
import type { Data, Routes } from "./support/servers.js";
import { useSites } from "./support/site.js";

const t = useSites();

const routes: Routes = {
  "/login": (req) => req.rs.create("alice", { d: { n: 1 } }),
  "/me": (req) => req.rs.get(),
  "/order": async (req) => {
    const order: string[] = [];
    setImmediate(() => order.push("end of the round"));
    await req.rs.get().then(() => order.push("session"));
    return order;
  },
};

let rs: RedisSessions<Data>;
let auth: Middleware;

beforeEach(() => {
  rs = new RedisSessions<Data>({ client: t.redis.client(), wipe: 0, cachetime: 30 });
  auth = t.auth({ rs });
});
afterEach(() => rs.quit());

describe("req.rs.get from the near cache", () => {
  test("sends Redis less than a command for twenty requests", async () => {
    const site = await t.open(routes, { use: [auth] });
    const browsers = Array.from({ length: 10 }, () => site.browser());
    for (const browser of browsers) {
      await browser.post("/login");
      await browser.get("/me");
    }
    const commands = await t.redis.watch(async () => {
      for (let i = 0; i < 50; i++) {
        for (const { body } of await Promise.all(browsers.map((browser) => browser.get("/me")))) {
          expect(body).toMatchObject({ id: "alice", d: { n: 1 } });
        }
      }
    });
    expect(rs.cache.hits).toBeGreaterThanOrEqual(500);
    // The pings are those of the subscription, one a second.
    expect(commands.filter(([name]) => name?.toLowerCase() !== "ping").length).toBeLessThan(500 / 20);
  });

  test("goes on when the I/O events of the event loop's round are handled", async () => {
    const browser = (await t.open(routes, { use: [auth] })).browser();
    await browser.post("/login");
    await browser.get("/me");
    const { hits } = rs.cache;
    expect((await browser.get("/order")).body).toEqual(["end of the round", "session"]);
    expect(rs.cache.hits).toBe(hits + 1);
  });
});

import { afterAll, beforeAll, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { startRedis, type TestRedis } from "../support/redis.js";

const app = "webapp";
const ip = "127.0.0.1";

let redis: TestRedis;
let rs: RedisSessions;

beforeAll(async () => {
  redis = await startRedis();
  rs = new RedisSessions({ client: redis.client(), wipe: 0 });
});

afterAll(() => redis.stop());

test("no command contains a token or a part of one", async () => {
  const tokens: string[] = [];
  const commands = await redis.watch(async () => {
    const { token } = await rs.create({ app, id: "alice", ip, d: { a: 1 } });
    await rs.get({ app, token });
    await rs.set({ app, token, d: { a: 2 } });
    const rotated = (await rs.rotate({ app, token }))?.token as string;
    await rs.get({ app, token });
    await rs.killsoid({ app, id: "alice", except: token });
    await rs.soid({ app, id: "alice" });
    await rs.soapp({ app, dt: 60 });
    await rs.kill({ app, token: rotated });
    tokens.push(token, rotated);
  });
  expect(commands.length).toBeGreaterThan(9);
  for (const token of tokens) {
    expect(token).toHaveLength(64);
    const parts = [0, 16, 32, 48].map((from) => token.slice(from, from + 16));
    expect(commands.flat().filter((word) => parts.some((part) => word.includes(part)))).toEqual([]);
  }
});

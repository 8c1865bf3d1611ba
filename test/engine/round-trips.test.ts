import { afterAll, beforeAll, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { startRedis, type TestRedis } from "../support/redis.js";

let redis: TestRedis;
let rs: RedisSessions;

beforeAll(async () => {
  redis = await startRedis();
  rs = new RedisSessions({ client: redis.client(), wipe: 0 });
  // The first calls register the app and load the scripts.
  const { token } = await rs.create({ app: "webapp", id: "alice", ip: "127.0.0.1" });
  await rs.get({ app: "webapp", token });
  await rs.set({ app: "webapp", token, d: { a: 1 } });
  await rs.rotate({ app: "webapp", token, grace: 0 });
  await rs.kill({ app: "webapp", token });
});

afterAll(() => redis.stop());

test("create, get, set, rotate and kill are one command each", async () => {
  let token = "";
  let rotated: { token: string } | null = null;
  const create = await redis.watch(async () => {
    token = (await rs.create({ app: "webapp", id: "alice", ip: "127.0.0.1", d: { a: 1 } })).token;
  });
  const get = await redis.watch(() => rs.get({ app: "webapp", token }));
  const set = await redis.watch(() => rs.set({ app: "webapp", token, d: { a: null, b: "x" } }));
  const rotate = await redis.watch(async () => {
    rotated = await rs.rotate({ app: "webapp", token });
  });
  const kill = await redis.watch(() =>
    rs.kill({ app: "webapp", token: (rotated as unknown as { token: string }).token }),
  );

  for (const commands of [create, get, set, rotate, kill]) {
    expect(commands.map(([name]) => name?.toLowerCase())).toEqual(["evalsha"]);
  }
});

test("a rotated token that has grace costs one command more", async () => {
  const { token } = await rs.create({ app: "webapp", id: "alice", ip: "127.0.0.1" });
  await rs.rotate({ app: "webapp", token });
  expect(await redis.watch(() => rs.get({ app: "webapp", token }))).toHaveLength(2);
});

test("killsoid of a user with few sessions is two commands", async () => {
  const create = () => rs.create({ app: "webapp", id: "bob", ip: "127.0.0.1" });
  await create();
  await rs.killsoid({ app: "webapp", id: "bob" });
  await Promise.all([create(), create()]);
  let killed: unknown;
  const commands = await redis.watch(async () => {
    killed = await rs.killsoid({ app: "webapp", id: "bob" });
  });
  expect(killed).toEqual({ kill: 2 });
  expect(commands.map(([name]) => name?.toLowerCase())).toEqual(["evalsha", "evalsha"]);
});

import session from "express-session";
import type { Redis } from "ioredis";
import MockRedis from "ioredis-mock";
import { afterAll } from "vitest";
import { RedisStore, type RedisStoreOptions } from "../../src/express-session/index.js";
import { storeContract } from "../contract/store.js";
import { CLIENT_NAMES, openClient, type TestClient } from "../support/clients.js";
import { rot13 } from "./support/serializers.js";
import { useStores } from "./support/stores.js";

const t = useStores();

storeContract("MemoryStore, the control,", () => new session.MemoryStore());

const variants: Record<string, () => RedisStoreOptions> = {
  RedisStore: () => ({}),
  "RedisStore with hashed ids": () => ({ hashIds: true }),
  "RedisStore on an engine": () => ({ rs: t.rs, app: "webapp" }),
  "RedisStore with an asynchronous serializer": () => ({ serializer: rot13 }),
  "RedisStore without take-over": () => ({ legacy: false }),
  "RedisStore with an unusual prefix": () => ({ prefix: "{my}%7B:" }),
};
for (const [name, options] of Object.entries(variants)) storeContract(name, () => t.store(options()));

const clients = new Map<string, TestClient>();
afterAll(() => {
  for (const client of clients.values()) client.close();
});
for (const name of CLIENT_NAMES) {
  storeContract(`RedisStore on ${name}`, () => {
    const client = clients.get(name) ?? openClient(name, t.redis.port);
    clients.set(name, client);
    return new RedisStore({ client: client.client });
  });
}

// The mock's TIME is the rounded second and the microseconds of process.hrtime, which has another start: a clock that
// is wrong by up to 1.5 s and jumps. Here they make up the time that it is.
const hrtime = process.hrtime;
const offRounded = (now: number) => now - Math.round(now / 1000) * 1000;
process.hrtime = Object.assign((): [number, number] => [0, offRounded(Date.now()) * 1e6], { bigint: hrtime.bigint });
afterAll(() => {
  process.hrtime = hrtime;
});

const mock = new MockRedis() as unknown as Redis;
mock.setMaxListeners(0);
storeContract("RedisStore on ioredis-mock", async () => {
  await mock.flushall();
  return new RedisStore({ client: mock });
});

import session from "express-session";
import MockRedis from "ioredis-mock";
import { RedisStore, type RedisStoreOptions } from "../../src/express-session/index.js";
import type { Client } from "../../src/index.js";
import { storeContract } from "../contract/store.js";
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

const mock = new MockRedis() as unknown as Client;
mock.setMaxListeners(0);
storeContract("RedisStore on ioredis-mock", async () => {
  await mock.flushall();
  return new RedisStore({ client: mock });
});

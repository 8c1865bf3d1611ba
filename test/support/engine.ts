import type { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { type Created, type CreateOptions, RedisSessions, type RedisSessionsOptions } from "../../src/index.js";
import { startRedis, type TestRedis } from "./redis.js";

/** What the tests of one file share: one Redis, emptied before each test, and a new engine for each. */
export interface TestEngine {
  readonly redis: TestRedis;
  /** The engine's client, to look into the database with. */
  readonly db: Redis;
  readonly rs: RedisSessions;
  /** Creates a session, of alice in "webapp" unless told otherwise. */
  create(session?: Partial<CreateOptions>): Promise<Created>;
}

/** Call it at the top of a test file. */
export function useEngine(options: RedisSessionsOptions = {}): TestEngine {
  let redis: TestRedis;
  let db: Redis;
  let rs: RedisSessions;
  beforeAll(async () => {
    redis = await startRedis();
    db = redis.client();
  });
  beforeEach(async () => {
    await db.flushdb();
    rs = new RedisSessions({ client: db, wipe: 0, ...options });
  });
  afterAll(() => redis.stop());
  return {
    get redis() {
      return redis;
    },
    get db() {
      return db;
    },
    get rs() {
      return rs;
    },
    create: (session) => rs.create({ app: "webapp", id: "alice", ip: "127.0.0.1", ...session }),
  };
}

import type { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { type Created, type CreateOptions, RedisSessions, type RedisSessionsOptions } from "../../src/index.js";
import { startRedis, type TestRedis } from "./redis.js";

/** The shared state of a test file: one Redis that is emptied before each test, and a new engine for each test. */
export interface TestEngine {
  readonly redis: TestRedis;
  /** The client of the engine. Tests also read the database with it. */
  readonly db: Redis;
  readonly rs: RedisSessions;
  /** Creates a session. Default: for alice in "webapp". */
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

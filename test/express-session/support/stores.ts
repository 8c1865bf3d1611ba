import { RedisStore as ConnectRedis } from "connect-redis8";
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, vi } from "vitest";
import { RedisStore, type RedisStoreOptions } from "../../../src/express-session/index.js";
import { RedisSessions } from "../../../src/index.js";
import { startRedis, type TestRedis } from "../../support/redis.js";
import { openSite, type Site, type SiteOptions } from "./site.js";

/** What the tests of one file share: a Redis that is emptied before each test. */
export interface TestStores {
  readonly redis: TestRedis;
  /** A client for looking into the database. Stores use it, too, unless a test passes another. */
  readonly db: Redis;
  /** An engine on the same Redis. Its app "sess" is that of a store with the default prefix. */
  readonly rs: RedisSessions;
  store(options?: RedisStoreOptions): RedisStore;
  /** connect-redis, the control. */
  connectRedis(options?: { prefix?: string; ttl?: number }): ConnectRedis;
  /** A web site that is closed after the test. */
  site(options?: Partial<SiteOptions>): Promise<Site>;
}

/** Call this at the top of a test file. */
export function useStores(): TestStores {
  let redis: TestRedis;
  let db: Redis;
  const sites: Site[] = [];
  beforeAll(async () => {
    redis = await startRedis();
    db = redis.client();
  });
  beforeEach(() => {
    // A wiper starts at a random time. Some tests watch the commands, so no wiper may run.
    vi.spyOn(Math, "random").mockReturnValue(1);
    return db.flushdb();
  });
  afterEach(async () => {
    await Promise.all(sites.splice(0).map((site) => site.close()));
  });
  afterAll(() => redis.stop());
  const store = (options: RedisStoreOptions = {}) =>
    new RedisStore(options.rs === undefined ? { client: db, ...options } : options);
  return {
    get redis() {
      return redis;
    },
    get db() {
      return db;
    },
    get rs() {
      return new RedisSessions({ client: db, wipe: 0, nested: true });
    },
    store,
    connectRedis: (options) => new ConnectRedis({ client: db, ...options }),
    async site(options = {}) {
      const site = await openSite({ store: options.store ?? store(), ...options });
      sites.push(site);
      return site;
    },
  };
}

/** Session data with a cookie as express-session creates it. */
export function withCookie<Data extends object>(
  data: Data,
  maxAge: number | null = 60_000,
): Data & { cookie: { originalMaxAge: number | null; expires: Date | null; path: string } } {
  const expires = maxAge === null ? null : new Date(Date.now() + maxAge);
  return { cookie: { originalMaxAge: maxAge, expires, path: "/" }, ...data };
}

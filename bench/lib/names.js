/** The subjects, as the tables name them. */

export const MIDDLEWARE = "middleware on ioredis";
export const MIDDLEWARE_ON_NODE_REDIS = "middleware on node-redis";
/** With `cachetime: 30`. */
export const MIDDLEWARE_CACHED = "middleware with a near cache";
export const STORE = "RedisStore on ioredis";
export const STORE_ON_NODE_REDIS = "RedisStore on node-redis";

/** connect-redis 10. npm installs node-redis 6.3 for it today. */
export const CONNECT_REDIS = "connect-redis on node-redis 6.3";
export const CONNECT_REDIS_ON_5 = "connect-redis on node-redis 5.9";
export const CONNECT_REDIS_8 = "connect-redis 8 on ioredis";
export const CONNECT_REDIS_SESSIONS = "connect-redis-sessions 2";
export const REDIS_SESSIONS = "redis-sessions 4";
export const MEMORY_STORE = "MemoryStore";

/** Ceilings: what does the least that is possible. */
export const NO_SESSION = "no session";
export const EMPTY_STORE = "a store that does nothing";
export const GET = "GET on ioredis";
export const EMPTY_SCRIPT = "EVALSHA of an empty script";

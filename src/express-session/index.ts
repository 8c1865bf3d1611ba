/**
 * A store for express-session and @fastify/session on ioredis. It replaces connect-redis.
 *
 * @example
 * import session from "express-session";
 * import { Redis } from "ioredis";
 * import { RedisStore } from "ioredis-sessions/express-session";
 *
 * const client = new Redis();
 * client.on("error", (error) => console.error("Redis:", error.message));
 * const store = new RedisStore({ client, prefix: "myapp:" });
 * app.use(session({ store, secret, resave: false, saveUninitialized: false }));
 *
 * await store.killsoid("alice"); // logs alice out everywhere
 *
 * @module
 */

export type { ChangedData, RedisStoreOptions, StoredData } from "./options.js";
export type { Serializer } from "./serializer.js";
export { type ListedSession, type ListedSessions, RedisStore } from "./store.js";

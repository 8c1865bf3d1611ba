/**
 * The session engine: creates, reads, changes, lists and ends sessions in Redis, each of which belongs to an app and a
 * user.
 *
 * @example
 * import { Redis } from "ioredis";
 * import { RedisSessions } from "ioredis-sessions";
 *
 * const client = new Redis();
 * client.on("error", (error) => console.error("Redis:", error.message));
 * const rs = new RedisSessions({ client });
 * const { token } = await rs.create({ app: "webapp", id: "alice", ip: "203.0.113.7" });
 * const session = await rs.get({ app: "webapp", token }); // null if the session does not exist
 *
 * @module
 */
export { type AnyRedisSessions, RedisSessions, RedisSessions as default } from "./engine/engine.js";
export { SessionError, type SessionErrorCode, type SessionErrorName } from "./errors.js";
export type * from "./types.js";

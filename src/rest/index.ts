/**
 * The engine's methods as a REST interface, so that servers in any language can share the sessions.
 *
 * @example
 * import express from "express";
 * import { Redis } from "ioredis";
 * import { RedisSessions } from "ioredis-sessions";
 * import { rest } from "ioredis-sessions/rest";
 *
 * const client = new Redis();
 * client.on("error", (error) => console.error("Redis:", error.message));
 * const rs = new RedisSessions({ client });
 * express().use("/sessions", rest({ rs, authorize: [process.env.API_KEY] })).listen(8101, "127.0.0.1");
 *
 * @module
 */
export type { ApiKey, Authorize, Grant } from "./authorize.js";
export { type RestOptions, rest } from "./router.js";

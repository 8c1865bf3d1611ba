/**
 * A page for the people who run an app: who is signed in, the sessions of a user, and forms to end them.
 *
 * @example
 * import express from "express";
 * import { Redis } from "ioredis";
 * import { RedisSessions } from "ioredis-sessions";
 * import { dashboard } from "ioredis-sessions/dashboard";
 *
 * const client = new Redis();
 * client.on("error", (error) => console.error("Redis:", error.message));
 * const rs = new RedisSessions({ client });
 * const authorize = (req) => (req.user?.isAdmin ? { role: "admin", actor: req.user.id } : null);
 * express().use("/admin/sessions", dashboard({ rs, apps: ["webapp"], authorize })).listen(3000);
 *
 * @module
 */
export { type Dashboard, dashboard } from "./dashboard.js";
export type {
  DashboardAction,
  DashboardAuthorize,
  DashboardGrant,
  DashboardLog,
  DashboardOptions,
  DashboardRole,
} from "./options.js";
export type { DashboardTexts } from "./texts.js";

import { MAX_COOKIE_AGE, MAX_SECONDS } from "../engine/checks.js";
import { MAX_LISTED } from "./input.js";
import { CODES } from "./problem.js";
import type { QueryName } from "./route.js";

/** The parameters, headers and schemas of the operations in openapi.json. */

export const PATH = {
  app: inPath("app", { type: "string", pattern: "^[A-Za-z0-9_-]{3,20}$" }, "The app, 3 to 20 of A-Z a-z 0-9 _ -"),
  id: inPath("id", { type: "string", minLength: 1, maxLength: 128 }, "The user, 1 to 128 characters."),
  token: inPath("token", { type: "string" }, "A token or a ref, or - to send it in X-Session-Token."),
};

/** The parameter `token` of an operation that does not accept a ref. */
export const TOKEN_ONLY = inPath("token", { type: "string" }, "A token, or - to send it in X-Session-Token.");

export const TOKEN_HEADER = {
  name: "X-Session-Token",
  in: "header",
  required: false,
  description: "The token or ref, if the path has - in its place.",
  schema: { type: "string" },
};

export const QUERY: Record<QueryName, object> = {
  ip: inQuery("ip", { type: "string", minLength: 1, maxLength: 39 }, "The user's IP address.", true),
  ttl: inQuery(
    "ttl",
    seconds(),
    "The idle timeout, in seconds: the session ends if it is not used for so long. Default: 7200 or maxAge in create, unchanged in touch.",
  ),
  device: inQuery("device", { type: "string", minLength: 1, maxLength: 64 }, "A name for the user's device."),
  no_resave: inQuery(
    "no_resave",
    { type: "boolean", default: false },
    "If true, using the session does not prolong it.",
  ),
  maxAge: inQuery(
    "maxAge",
    {
      oneOf: [
        { type: "integer", minimum: 1, maximum: MAX_COOKIE_AGE },
        { type: "string", const: "null" },
      ],
    },
    "Seconds that the browser keeps the cookie; null until it is closed. Your server reads it from the session when it sets the cookie.",
  ),
  absolute: inQuery("absolute", seconds(), "Seconds after creation at which the session ends even if it is used."),
  maxPerUser: inQuery("maxPerUser", { type: "integer", minimum: 1 }, "The maximum number of sessions of the user."),
  overflow: inQuery(
    "overflow",
    { type: "string", enum: ["oldest", "idle", "reject"], default: "oldest" },
    "At the maximum, end the oldest session or the one that rested longest, or reject this one.",
  ),
  actor: inQuery(
    "actor",
    { type: "string", minLength: 1, maxLength: 128 },
    "The id of an admin who signs in as the user. The session is never prolonged, and ttl is 3600 by default.",
  ),
  touch: inQuery(
    "touch",
    { type: "boolean", default: true },
    "Whether the call counts as use and prolongs the session.",
  ),
  key: inQuery("key", { type: "string", minLength: 1 }, "The key of the data. A missing key counts as 0.", true),
  by: inQuery("by", exact(1), "The integer to add."),
  max: inQuery("max", exact(), "The largest value to reach by adding. Beyond it, nothing changes."),
  dt: inQuery("dt", seconds(), "Seconds to look back. The old name deltaTime is accepted too.", true),
  limit: inQuery(
    "limit",
    { type: "integer", minimum: 1, maximum: MAX_LISTED, default: MAX_LISTED },
    "The maximum number of sessions to return. A response with very long sessions has fewer.",
  ),
  offset: inQuery("offset", { type: "integer", minimum: 0, default: 0 }, "How many sessions to skip."),
  except: inQuery("except", { type: "string" }, "The session to keep, by its token or ref."),
  grace: inQuery("grace", { type: "integer", minimum: 0, default: 10 }, "Seconds for which the old token still works."),
  confirm: inQuery(
    "confirm",
    { type: "boolean", default: false },
    "Whether the old token also works until the new one is used. grace then counts from that use.",
  ),
};

export const SECURITY_SCHEMES = {
  key: { type: "http", scheme: "bearer", description: "An API key" },
  header: {
    type: "apiKey",
    in: "header",
    name: "X-API-Key",
    description: "An API key, as an alternative to Authorization",
  },
};

export const SCHEMAS = {
  Session: {
    type: "object",
    required: ["ref", "id", "ip", "r", "w", "ttl", "idle", "created", "expires", "authTime"],
    properties: {
      ref: {
        type: "string",
        description: "The session's public handle. Accepted in place of a token, except by rotate.",
      },
      id: { type: "string" },
      ip: { type: "string" },
      r: { type: "integer", description: "The number of reads." },
      w: { type: "integer", description: "The number of writes." },
      ttl: { type: "integer", description: "The idle timeout, in seconds. With no_resave, the seconds until it ends." },
      idle: { type: "integer", description: "Seconds since the last use." },
      created: { type: "integer", description: "When it was created, in milliseconds since 1970." },
      expires: {
        type: ["integer", "null"],
        description:
          "When it ends if nobody uses it again, in milliseconds since 1970 by Redis's clock. null: it never ends.",
      },
      authTime: {
        type: "integer",
        description: "When the user was authenticated last, in milliseconds since 1970.",
      },
      device: { type: "string" },
      lastIp: { type: "string", description: "The address of the last use. Absent if it was `ip`." },
      lastDevice: { type: "string", description: "The device of the last use. Absent if it was `device`." },
      actor: { type: "string", description: "Who is signed in as the user. Absent if the user is." },
      maxAge: {
        type: ["integer", "null"],
        description: "Seconds that the browser keeps the session's cookie; null until it is closed.",
      },
      no_resave: { type: "boolean", const: true },
      d: { $ref: "#/components/schemas/Data" },
    },
  },
  Sessions: {
    type: "object",
    required: ["sessions"],
    properties: {
      sessions: { type: "array", maxItems: MAX_LISTED, items: { $ref: "#/components/schemas/Session" } },
      next: { type: "integer", description: "The offset of the next page. Absent if there are no more sessions." },
    },
  },
  Data: {
    type: "object",
    additionalProperties: true,
    description: "null removes a key. Numbers are IEEE doubles: send 64-bit ids as strings.",
  },
  Created: {
    type: "object",
    required: ["token", "ref"],
    properties: { token: { type: "string", pattern: "^[A-Za-z0-9]{64}$" }, ref: { type: "string" } },
  },
  Incremented: {
    type: "object",
    required: ["value", "applied"],
    properties: {
      value: { type: "integer", description: "The value of the key after the call." },
      applied: { type: "boolean", description: "Whether it was changed. false: it would have exceeded max." },
    },
  },
  Empty: {
    type: "object",
    maxProperties: 0,
    description: "The session does not exist, or rotate got a token that was already rotated without confirm.",
  },
  Activity: { type: "object", required: ["activity"], properties: { activity: { type: "integer" } } },
  Written: { type: "object", required: ["set"], properties: { set: { type: "integer" } } },
  Killed: { type: "object", required: ["kill"], properties: { kill: { type: "integer" } } },
  Problem: {
    type: "object",
    required: ["title", "status", "code", "detail"],
    properties: {
      type: { type: "string" },
      title: { type: "string" },
      status: { type: "integer" },
      code: { type: "string", enum: CODES },
      detail: { type: "string" },
      hint: { type: "string", description: "How to correct the request." },
    },
  },
};

function seconds(byDefault?: number): object {
  const type = { type: "integer", minimum: 10, maximum: MAX_SECONDS };
  return { ...type, ...(byDefault !== undefined && { default: byDefault }) };
}

function exact(byDefault?: number): object {
  const type = { type: "integer", minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER };
  return { ...type, ...(byDefault !== undefined && { default: byDefault }) };
}

function inPath(name: string, schema: object, description: string): object {
  return { name, in: "path", required: true, description, schema };
}

function inQuery(name: string, schema: object, description: string, required = false): object {
  return { name, in: "query", required, description, schema };
}

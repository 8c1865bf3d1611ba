import { MAX_SECONDS } from "../engine/checks.js";
import { MOST_LISTED } from "./input.js";
import { CODES } from "./problem.js";
import type { QueryName } from "./route.js";

/** The parameters, headers and schemas that openapi.json's operations are made of. */

export const PATH = {
  app: inPath("app", { type: "string", pattern: "^[A-Za-z0-9_-]{3,20}$" }, "3 to 20 of A-Z a-z 0-9 _ -"),
  id: inPath("id", { type: "string", minLength: 1, maxLength: 128 }, "The user, 1 to 128 characters."),
  token: inPath("token", { type: "string" }, "A token or a ref, or - to send it in X-Session-Token."),
};

/** In place of `token` where a ref, which is no secret, does not do. */
export const TOKEN_ONLY = inPath("token", { type: "string" }, "A token, or - to send it in X-Session-Token.");

export const TOKEN_HEADER = {
  name: "X-Session-Token",
  in: "header",
  required: false,
  description: "What is meant, when the path has - in the token's place.",
  schema: { type: "string" },
};

export const QUERY: Record<QueryName, object> = {
  ip: inQuery("ip", { type: "string", minLength: 1, maxLength: 39 }, "The user's address.", true),
  ttl: inQuery("ttl", seconds(7200), "Seconds that the session may rest."),
  device: inQuery("device", { type: "string", minLength: 1, maxLength: 64 }, "What the user signs in with."),
  no_resave: inQuery(
    "no_resave",
    { type: "boolean", default: false },
    "Whether using the session does not prolong it.",
  ),
  absolute: inQuery("absolute", seconds(), "Seconds after which it ends however much it is used."),
  maxPerUser: inQuery("maxPerUser", { type: "integer", minimum: 1 }, "How many sessions the user may have."),
  overflow: inQuery(
    "overflow",
    { type: "string", enum: ["oldest", "reject"], default: "oldest" },
    "When there are that many: the oldest end, or this one is rejected.",
  ),
  touch: inQuery("touch", { type: "boolean", default: true }, "Whether reading counts and prolongs."),
  dt: inQuery("dt", seconds(), "Seconds to look back. Its old name deltaTime does, too.", true),
  limit: inQuery(
    "limit",
    { type: "integer", minimum: 1, maximum: MOST_LISTED, default: MOST_LISTED },
    "The most sessions to return. Very long sessions make an answer end before.",
  ),
  offset: inQuery("offset", { type: "integer", minimum: 0, default: 0 }, "How many sessions to skip."),
  except: inQuery("except", { type: "string" }, "The one session to spare, by token or ref."),
  grace: inQuery("grace", { type: "integer", minimum: 0, default: 10 }, "Seconds that the old token goes on working."),
};

export const SECURITY_SCHEMES = {
  key: { type: "http", scheme: "bearer", description: "An API key" },
  header: { type: "apiKey", in: "header", name: "X-API-Key", description: "The same" },
};

export const SCHEMAS = {
  Session: {
    type: "object",
    required: ["ref", "id", "ip", "r", "w", "ttl", "idle", "created"],
    properties: {
      ref: { type: "string", description: "The session's public handle; may stand where a token may." },
      id: { type: "string" },
      ip: { type: "string" },
      r: { type: "integer", description: "How often it was read." },
      w: { type: "integer", description: "How often it was written." },
      ttl: { type: "integer", description: "Seconds that it may rest; with no_resave, those until it ends." },
      idle: { type: "integer", description: "Seconds that it has rested." },
      created: { type: "integer", description: "Milliseconds since 1970." },
      device: { type: "string" },
      no_resave: { type: "boolean", const: true },
      d: { $ref: "#/components/schemas/Data" },
    },
  },
  Sessions: {
    type: "object",
    required: ["sessions"],
    properties: {
      sessions: { type: "array", maxItems: MOST_LISTED, items: { $ref: "#/components/schemas/Session" } },
      next: { type: "integer", description: "The offset of the next part. Absent where there are no more sessions." },
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
  Empty: {
    type: "object",
    maxProperties: 0,
    description: "There is no such session (to rotate: or the token was rotated before).",
  },
  Activity: { type: "object", required: ["activity"], properties: { activity: { type: "integer" } } },
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
      hint: { type: "string", description: "What would have been right." },
    },
  },
};

function seconds(byDefault?: number): object {
  const type = { type: "integer", minimum: 10, maximum: MAX_SECONDS };
  return { ...type, ...(byDefault !== undefined && { default: byDefault }) };
}

function inPath(name: string, schema: object, description: string): object {
  return { name, in: "path", required: true, description, schema };
}

function inQuery(name: string, schema: object, description: string, required = false): object {
  return { name, in: "query", required, description, schema };
}

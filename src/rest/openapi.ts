import { type QueryName, type Route, routes } from "./routes.js";

const PATH = {
  app: inPath("app", "3 to 20 of A-Z a-z 0-9 _ -"),
  id: inPath("id", "The user, 1 to 128 characters."),
  token: inPath("token", "A token, a ref where the operation takes one, or - to send it in X-Session-Token."),
};

const QUERY: Record<QueryName, object> = {
  ip: inQuery("ip", { type: "string", maxLength: 39 }, "The user's address.", true),
  ttl: inQuery("ttl", seconds(7200), "Seconds that the session may rest."),
  device: inQuery("device", { type: "string", maxLength: 64 }, "What the user signs in with."),
  no_resave: inQuery(
    "no_resave",
    { type: "boolean", default: false },
    "Whether using the session does not prolong it.",
  ),
  absolute: inQuery("absolute", seconds(), "Seconds after which it ends however much it is used."),
  touch: inQuery("touch", { type: "boolean", default: true }, "Whether reading counts and prolongs."),
  dt: inQuery("dt", seconds(), "Seconds to look back.", true),
  limit: inQuery("limit", { type: "integer", minimum: 1 }, "The most sessions to return."),
  offset: inQuery("offset", { type: "integer", minimum: 0, default: 0 }, "How many to pass over."),
  except: inQuery("except", { type: "string" }, "The one session to spare, by token or ref."),
  grace: inQuery("grace", { type: "integer", minimum: 0, default: 10 }, "Seconds that the old token goes on working."),
};

const TOKEN_HEADER = {
  name: "X-Session-Token",
  in: "header",
  required: false,
  description: "The token, when the path has - in its place.",
  schema: { type: "string" },
};

/** The description of the interface, OpenAPI 3.1. It is made from the routes, so that the two agree. */
export const openapi = {
  openapi: "3.1.0",
  info: {
    title: "ioredis-sessions",
    version: "1",
    description: "Sessions in Redis that belong to an app and a user, shared by servers in any language.",
    license: { name: "MIT", identifier: "MIT" },
  },
  security: [{ key: [] }, { header: [] }],
  paths: paths(),
  components: {
    securitySchemes: {
      key: { type: "http", scheme: "bearer", description: "An API key" },
      header: { type: "apiKey", in: "header", name: "X-API-Key", description: "The same" },
    },
    schemas: {
      Session: {
        type: "object",
        description: "Empty when there is no such session.",
        properties: {
          ref: { type: "string", description: "The session's public handle; may stand where a token may." },
          id: { type: "string" },
          ip: { type: "string" },
          r: { type: "integer", description: "How often it was read." },
          w: { type: "integer", description: "How often it was written." },
          ttl: { type: "integer", description: "Seconds that it may rest." },
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
        properties: { sessions: { type: "array", items: { $ref: "#/components/schemas/Session" } } },
      },
      Data: { type: "object", additionalProperties: true, description: "null removes a key." },
      Created: {
        type: "object",
        required: ["token", "ref"],
        properties: { token: { type: "string", pattern: "^[A-Za-z0-9]{64}$" }, ref: { type: "string" } },
      },
      Rotated: {
        type: "object",
        description: "Empty when there is no such session, or the token was rotated before.",
        properties: { token: { type: "string" }, ref: { type: "string" } },
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
          code: { type: "string" },
          detail: { type: "string" },
          hint: { type: "string", description: "What would have been right." },
        },
      },
    },
  },
};

function paths(): Record<string, Record<string, object>> {
  const described: Record<string, Record<string, object>> = {
    "/ping": {
      get: {
        operationId: "ping",
        summary: "A sign of life from Redis.",
        security: [],
        responses: {
          200: { description: "PONG", content: { "text/plain": { schema: { type: "string", const: "PONG" } } } },
          500: problem("Redis answered with an error."),
          503: problem("Redis is away."),
        },
      },
    },
    "/openapi.json": {
      get: {
        operationId: "openapi",
        summary: "This description.",
        security: [],
        responses: {
          200: { description: "OpenAPI 3.1", content: { "application/json": { schema: { type: "object" } } } },
        },
      },
    },
  };
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    described[path] = { ...described[path], [route.method]: operation(route) };
  }
  return described;
}

function operation(route: Route): object {
  const inPath = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => PATH[name as keyof typeof PATH]);
  const inQuery = route.query.map((name) => QUERY[name]);
  return {
    operationId: route.name,
    summary: route.summary,
    parameters: [...inPath, ...inQuery, ...(route.path.includes(":token") ? [TOKEN_HEADER] : [])],
    ...(route.body !== undefined && {
      requestBody: {
        required: route.body === "required",
        content: { "application/json": { schema: { $ref: "#/components/schemas/Data" } } },
      },
    }),
    responses: {
      200: {
        description: "OK",
        content: { "application/json": { schema: { $ref: `#/components/schemas/${route.answer}` } } },
      },
      400: problem("Bad input: `code` and `detail` say which."),
      401: problem("No good API key."),
      403: problem("The key is not good for this app, or for writing."),
      ...(route.body !== undefined && { 413: problem("The body is larger than 64 KiB.") }),
      415: problem("The body is no JSON."),
      500: problem("Redis answered with an error, or the server failed."),
      503: problem("Redis is away."),
    },
  };
}

function problem(description: string): object {
  return { description, content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } } };
}

function seconds(byDefault?: number): object {
  return { type: "integer", minimum: 10, ...(byDefault !== undefined && { default: byDefault }) };
}

function inPath(name: string, description: string): object {
  return { name, in: "path", required: true, description, schema: { type: "string" } };
}

function inQuery(name: string, schema: object, description: string, required = false): object {
  return { name, in: "query", required, description, schema };
}

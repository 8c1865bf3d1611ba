import type { Authorize } from "./authorize.js";
import { PATH, QUERY, SCHEMAS, SECURITY_SCHEMES, TOKEN_HEADER, TOKEN_ONLY } from "./openapi-parts.js";
import type { Route } from "./route.js";
import { routes } from "./routes.js";

/** The description of the interface, OpenAPI 3.1. It is made from the routes, so that the two agree. */
export function describeInterface(authorize: Authorize): object {
  const access = accessOf(authorize);
  return {
    openapi: "3.1.0",
    info: {
      title: "ioredis-sessions",
      version: "1",
      description: `Sessions in Redis that belong to an app and a user, shared by servers in any language. ${access.description}`,
      license: { name: "MIT", identifier: "MIT" },
    },
    ...access.document,
    paths: paths(access),
    components: { ...access.components, schemas: SCHEMAS },
  };
}

/** What is to be said of who may use the interface. */
interface Access {
  readonly description: string;
  /** Parts of the document, and of its components. */
  readonly document: object;
  readonly components: object;
  /** How operations on an app refuse, and how those that need no key. */
  readonly guarded: Record<number, object>;
  readonly open: Record<number, object>;
}

function accessOf(authorize: Authorize): Access {
  if (authorize === false) return forEverybody();
  return typeof authorize === "function" ? byFunction() : byKeys();
}

function forEverybody(): Access {
  const refused = { 403: problem("Without keys `ioredis-sessions serve` answers requests to localhost only.") };
  const description = "No key is needed.";
  return { description, document: { security: [] }, components: {}, guarded: refused, open: refused };
}

function byKeys(): Access {
  return {
    description: "It needs an API key.",
    document: { security: [{ key: [] }, { header: [] }] },
    components: { securitySchemes: SECURITY_SCHEMES },
    guarded: refusals("No good API key.", "The key is not good for this app, or for writing."),
    open: {},
  };
}

/** What a function looks at, the document cannot know. */
function byFunction(): Access {
  return {
    description: "How callers show who they are depends on this server: ask those who run it.",
    document: {},
    components: {},
    guarded: refusals("This server does not let the caller in.", "The caller may not use this app, or may only read."),
    open: {},
  };
}

function refusals(unknown: string, forbidden: string): Record<number, object> {
  const headers = { "WWW-Authenticate": { description: "Bearer", schema: { type: "string" } } };
  return { 401: problem(unknown, headers), 403: problem(forbidden) };
}

function paths(access: Access): Record<string, Record<string, object>> {
  const described: Record<string, Record<string, object>> = {
    "/ping": {
      get: {
        operationId: "ping",
        summary: "A sign of life from Redis.",
        security: [],
        responses: {
          200: { description: "PONG", content: { "text/plain": { schema: { type: "string", const: "PONG" } } } },
          ...access.open,
          ...failures("Redis answered with an error."),
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
          ...access.open,
        },
      },
    },
  };
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    described[path] = { ...described[path], [route.method]: operation(route, access) };
  }
  return described;
}

function operation(route: Route, access: Access): object {
  return {
    operationId: route.name,
    summary: route.summary,
    parameters: parametersOf(route),
    ...(route.body !== undefined && {
      requestBody: {
        required: route.body === "required",
        content: { "application/json": { schema: schemaOf("Data") } },
      },
    }),
    responses: {
      200: { description: "OK", content: { "application/json": { schema: answerOf(route) } } },
      400: problem("Bad input: `code` and `detail` say which."),
      ...access.guarded,
      ...(route.query.includes("maxPerUser") && {
        409: problem("The user has as many sessions as maxPerUser allows."),
      }),
      ...(route.body !== undefined && { 413: problem("The body is larger than 64 KiB.") }),
      415: problem("The body is no JSON."),
      ...failures("Redis answered with an error, or the server failed."),
    },
  };
}

function parametersOf(route: Route): object[] {
  const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name as keyof typeof PATH);
  return [
    ...names.map((name) => (name === "token" && route.tokenOnly ? TOKEN_ONLY : PATH[name])),
    ...route.query.map((name) => QUERY[name]),
    ...(names.includes("token") ? [TOKEN_HEADER] : []),
  ];
}

function answerOf({ answer, mayBeEmpty }: Route): object {
  return mayBeEmpty ? { oneOf: [schemaOf(answer), schemaOf("Empty")] } : schemaOf(answer);
}

function schemaOf(name: keyof typeof SCHEMAS): object {
  return { $ref: `#/components/schemas/${name}` };
}

function failures(internal: string): Record<number, object> {
  return {
    500: problem(internal),
    503: problem("Redis is away.", {
      "Retry-After": { description: "Seconds to wait", schema: { type: "integer" } },
    }),
  };
}

function problem(description: string, headers?: object): object {
  const content = { "application/problem+json": { schema: schemaOf("Problem") } };
  return { description, ...(headers !== undefined && { headers }), content };
}

import type { Authorize } from "./authorize.js";
import { PATH, QUERY, SCHEMAS, SECURITY_SCHEMES, TOKEN_HEADER, TOKEN_ONLY } from "./openapi-parts.js";
import type { Route } from "./route.js";
import { routes } from "./routes.js";

/** Describes the interface as OpenAPI 3.1. The description is built from the routes, so that both always agree. */
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

/** The parts of the description that depend on the option `authorize`. */
interface Access {
  readonly description: string;
  /** Properties of the document. */
  readonly document: object;
  /** Properties of the document's `components`. */
  readonly components: object;
  /** Responses that refuse an operation on an app. */
  readonly guarded: Record<number, object>;
  /** Responses that refuse an operation that needs no key. */
  readonly open: Record<number, object>;
}

function accessOf(authorize: Authorize): Access {
  if (authorize === false) return forEverybody();
  return typeof authorize === "function" ? byFunction() : byKeys();
}

function forEverybody(): Access {
  const refused = { 403: problem("Without keys, `ioredis-sessions serve` serves only requests to localhost.") };
  const description = "No key is needed.";
  return { description, document: { security: [] }, components: {}, guarded: refused, open: refused };
}

function byKeys(): Access {
  return {
    description: "It needs an API key.",
    document: { security: [{ key: [] }, { header: [] }] },
    components: { securitySchemes: SECURITY_SCHEMES },
    guarded: refusals("The API key is missing or wrong.", "The key is not valid for this app or for writing."),
    open: {},
  };
}

/** The document cannot say which credentials the function checks. */
function byFunction(): Access {
  return {
    description: "The server decides how callers authenticate. Ask its operator.",
    document: {},
    components: {},
    guarded: refusals(
      "The server did not authorize the request.",
      "The caller may not use this app, or may only read.",
    ),
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
        summary: "Check that Redis answers.",
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
      400: problem("Invalid input. `code` and `detail` name the error."),
      ...access.guarded,
      ...(route.query.includes("maxPerUser") && {
        409: problem("The user has maxPerUser sessions, and overflow is reject."),
      }),
      ...(route.body !== undefined && { 413: problem("The body is larger than 64 KiB.") }),
      415: problem("The body is not JSON."),
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
    503: problem("Redis is down, or did not answer in time. The call may have taken effect.", {
      "Retry-After": { description: "Seconds to wait", schema: { type: "integer" } },
    }),
  };
}

function problem(description: string, headers?: object): object {
  const content = { "application/problem+json": { schema: schemaOf("Problem") } };
  return { description, ...(headers !== undefined && { headers }), content };
}

import { once } from "node:events";
import { connect } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { routes } from "../../src/rest/routes.js";
import { readStored } from "../support/index-check.js";
import { useApi } from "./support/api.js";

const KEY = "0123456789abcdef";
const BATCH = 50;
const BATCHES = 100;
/** The time limit of an answer in ms, for 50 parallel requests on a busy machine. A request that exceeds it hangs. */
const HANG = 8000;

const t = useApi({ nested: true });

/** Text that parsers may misread: encodings, other scripts, and special characters of JavaScript and HTTP. */
const odd = fc.oneof(
  fc.constantFrom("", "-", ".", "..", "%", "%00", "%0d%0aX: y", "%ff", "%2e%2e%2f", "//", "*", "?", "__proto__"),
  fc.constantFrom("constructor", "toString", "x".repeat(64), "r".repeat(27), "x".repeat(9000), "%F0%9F%98%80", "{}"),
  fc.string({ unit: "binary", maxLength: 40 }).map((text) => encodeURIComponent(text.toWellFormed())),
  fc.string({ maxLength: 30 }).map((text) => text.replace(/[\s#]/g, "_")),
);

const number = fc.oneof(
  fc.integer().map(String),
  fc.constantFrom("", "9", "10", "1e3", "-0", "0x10", "9007199254740", "9007199254740991", "999999999999999", "NaN"),
);

/** Mostly the first, sometimes the second. */
function mostly<Value>(good: fc.Arbitrary<Value>, bad: fc.Arbitrary<Value>): fc.Arbitrary<Value> {
  return fc.oneof({ weight: 7, arbitrary: good }, { weight: 1, arbitrary: bad });
}

const METHODS = [
  "HEAD",
  "OPTIONS",
  "PATCH",
  "TRACE",
  "PROPFIND",
  "QUERY",
  "GET",
  "PUT",
  "POST",
  "DELETE",
  "get",
  "FOO",
  "",
];
const LINES = ["*", "http://elsewhere/ping", "/ping", "/openapi.json", "ping", "//ping", "/"];

const GOOD: Record<string, fc.Arbitrary<string>> = {
  app: fc.constantFrom("webapp", "shop-1"),
  id: fc.constantFrom("alice", "bob%40example.com", "%EB%94%B8%EA%B8%B0"),
  token: fc.constantFrom("x".repeat(64), "r".repeat(27), "-"),
  ip: fc.constant("127.0.0.1"),
  device: fc.constant("Firefox"),
  touch: fc.constantFrom("true", "false"),
  no_resave: fc.constantFrom("true", "false"),
  except: fc.constant("x".repeat(64)),
};

/** The query: the route's parameters, most of them present and valid, and sometimes an unknown one. */
function queryOf(names: readonly string[]): fc.Arbitrary<string> {
  const pairs = names.map((name) => {
    const value = mostly(GOOD[name] ?? fc.constantFrom("10", "60", "7200"), fc.oneof(number, odd));
    return mostly(
      value.map((text) => [`${name}=${text}`]),
      fc.constant<string[]>([]),
    );
  });
  return fc
    .tuple(
      ...pairs,
      mostly(
        fc.constant<string[]>([]),
        odd.map((text) => [text, `${text}=${text}`]),
      ),
    )
    .map((all) => all.flat().join("&"));
}

/** The request line of a real route without the HTTP version. A part of it is sometimes mutated. */
const target = fc.constantFrom(...routes).chain(({ method, path, query }) => {
  const segments = path
    .slice(1)
    .split("/")
    .map((part) => mostly(part.startsWith(":") ? (GOOD[part.slice(1)] ?? odd) : fc.constant(part), odd));
  const real = fc
    .tuple(
      mostly(fc.constant(method.toUpperCase()), fc.constantFrom(...METHODS)),
      fc.tuple(...segments),
      queryOf(query),
    )
    .map(([verb, parts, rest]) => `${verb} /${parts.join("/")}?${rest}`);
  return fc.oneof(
    { weight: 20, arbitrary: real },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom(...METHODS), fc.oneof(fc.constantFrom(...LINES), odd))
        .map(([verb, line]) => `${verb} ${line}`),
    },
  );
});

const body = fc.oneof(
  { weight: 2, arbitrary: fc.constant("") },
  { weight: 2, arbitrary: fc.json() },
  { weight: 3, arbitrary: fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 5 }).map((d) => JSON.stringify(d)) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 200 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '{"__proto__":{"polluted":true}}',
      '{"constructor":{"prototype":{"polluted":true}}}',
      `{"a":${"[".repeat(500)}${"]".repeat(500)}}`,
      JSON.stringify({ a: "x".repeat(70_000) }),
      '{"a":1e999,"b":-0,"c":"\\ud800"}',
      '{"toJSON":1,"":2}',
    ),
  },
);

const header = fc.oneof(
  fc.constantFrom(
    "Content-Type: text/plain",
    "Content-Type: application/json; charset=utf-16",
    'Content-Type: application/json; charset="',
    "Content-Encoding: gzip",
    "Content-Encoding: br",
    "Content-Encoding: x",
    "Expect: 100-continue",
    "Expect: nothing",
    "Connection: Upgrade\r\nUpgrade: websocket",
    "Authorization: Bearer",
    "Authorization: Basic Og==",
    "X-HTTP-Method-Override: DELETE",
    "Host: [",
    "X-Forwarded-Host: ,",
    "Range: bytes=0-",
    "Cookie: rs=%",
    ": empty",
    "No colon",
  ),
  odd.map((text) => `X-Session-Token: ${text}`),
  odd.map((text) => `X-API-Key: ${text}`),
  odd.map((text) => `If-None-Match: "${text}"`),
);

/** A request as bytes. Its length is always correct, because a server must wait for the announced length. */
const request = fc
  .record({
    target,
    body,
    headers: mostly(fc.constant<string[]>([]), fc.array(header, { minLength: 1, maxLength: 2 })),
    key: fc.constantFrom(KEY, KEY, KEY, KEY, "wrong-wrong-wrong-wrong"),
    version: fc.constantFrom("1.1", "1.1", "1.1", "1.1", "1.0", "9.9"),
    chunked: fc.boolean(),
  })
  .map(({ target, body, headers, key, version, chunked }) => {
    const length = Buffer.byteLength(body);
    return [
      `${target} HTTP/${version}`,
      "Host: localhost",
      "Connection: close",
      `Authorization: Bearer ${key}`,
      ...headers,
      ...(headers.some((line) => line.startsWith("Content-Type")) || length === 0
        ? []
        : ["Content-Type: application/json"]),
      chunked && length > 0 ? "Transfer-Encoding: chunked" : `Content-Length: ${length}`,
      "",
      chunked && length > 0 ? `${length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body,
    ].join("\r\n");
  });

/** Sends bytes. Returns the final status of the answer, or a word for what happened without one. */
async function statusOf(port: number, bytes: string): Promise<number | string> {
  const socket = connect(port, "127.0.0.1");
  let answer = "";
  socket.setEncoding("latin1");
  socket.on("data", (part) => {
    answer += part;
  });
  // Further writes may fail after the server has refused the request and closed. Only the answer counts.
  socket.on("error", () => {});
  socket.setTimeout(HANG, () => {
    answer = "hangs";
    socket.destroy();
  });
  socket.write(bytes);
  await once(socket, "close");
  const last = [...answer.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)]
    .map(([, status]) => Number(status))
    .filter((n) => n >= 200);
  return last[0] ?? (answer || "closed without an answer");
}

describe("rest", () => {
  test(`answers ${BATCH * BATCHES} mutated requests with a 2xx or 4xx and keeps the indexes correct`, async () => {
    const uncaught: unknown[] = [];
    const note = (error: unknown) => void uncaught.push(error);
    process.on("uncaughtException", note).on("unhandledRejection", note);
    const api = await t.open({ authorize: [KEY] });
    const seen = new Map<number | string, number>();
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(request, { minLength: BATCH, maxLength: BATCH }), async (requests) => {
          const answers = await Promise.all(requests.map((bytes) => statusOf(api.port, bytes)));
          for (const [i, status] of answers.entries()) {
            seen.set(status, (seen.get(status) ?? 0) + 1);
            const good =
              typeof status === "number" && ((status >= 200 && status < 300) || (status >= 400 && status < 500));
            if (!good) throw new Error(`${status} for ${JSON.stringify(requests[i]?.slice(0, 400))}`);
          }
          expect(uncaught).toEqual([]);
        }),
        {
          numRuns: BATCHES,
          endOnFailure: true,
          // Report one request only, because the whole batch would fill many pages.
          async reporter({ failed, seed, counterexamplePath, errorInstance }) {
            if (failed) throw new Error(`${errorInstance} (seed ${seed}, path ${counterexamplePath})`);
          },
        },
      );
    } finally {
      process.off("uncaughtException", note).off("unhandledRejection", note);
    }
    // The requests reached every part of the router.
    for (const status of [200, 400, 401, 404, 405]) expect(seen.get(status)).toBeGreaterThan(0);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect((await api.get("/ping")).text).toBe("PONG");
    for (const one of ["webapp", "shop-1"]) expect((await readStored(t.db, one)).problems).toEqual([]);
  }, 60_000);

  test("closes incomplete requests with a 408 or no answer", async () => {
    const api = await t.open({
      authorize: [KEY],
      http: { connectionsCheckingInterval: 50, requestTimeout: 300, headersTimeout: 300 },
    });
    const whole = fc.sample(
      request.filter((bytes) => bytes.includes("HTTP/1.1")),
      50,
    );
    const answers = await Promise.all(whole.map((bytes, i) => statusOf(api.port, bytes.slice(0, 10 + i))));
    for (const status of answers) expect([400, 408, "closed without an answer"]).toContain(status);
    expect(answers).toContain(408);
    expect((await api.get("/ping")).text).toBe("PONG");
  });
});

import { connect } from "node:net";
import { expect, test } from "vitest";
import { type Api, type Ask, useApi } from "../support/api.js";
import { expectProblem, type Problem } from "../support/problem.js";

const TOKEN = "t".repeat(64);
const CREATE = "/webapp/create/alice";
const SET = `/webapp/set/${TOKEN}`;
const OR_REF = "or a ref: 27 of A-Z a-z 0-9 _ -, or the ref of a RedisStore session: ~ and its id";
const JSON_TYPE = { "Content-Type": "application/json" };

/** Checks the answers to invalid requests and during outages. */
export function describeErrors(): void {
  const t = useApi();
  const slow = useApi({ timeout: 300 });

  test.each<[method: string, path: string, detail: string, code: string, body?: unknown]>([
    ["PUT", CREATE, "No ip supplied", "ERR_MISSING_PARAMETER"],
    ["PUT", `${CREATE}?ip=`, "No ip supplied", "ERR_MISSING_PARAMETER"],
    ["PUT", `${CREATE}?ip=${"1".repeat(40)}`, "Invalid ip format", "ERR_INVALID_FORMAT"],
    ["PUT", `${CREATE}?ip=::1&ttl=9`, "ttl must be a positive integer >= 10", "ERR_INVALID_VALUE"],
    ["PUT", `${CREATE}?ip=::1&ttl=`, "ttl must be a positive integer >= 10", "ERR_INVALID_VALUE"],
    ["PUT", `${CREATE}?ip=::1&ttl=1e9`, "ttl must be a positive integer >= 10", "ERR_INVALID_VALUE"],
    ["PUT", `${CREATE}?ip=::1&ttl=-20`, "ttl must be a positive integer >= 10", "ERR_INVALID_VALUE"],
    ["PUT", `${CREATE}?ip=::1&maxAge=0`, "maxAge must be seconds, an integer from 1 to", "ERR_INVALID_VALUE"],
    ["PUT", `${CREATE}?ip=::1&overflow=reject`, "overflow needs maxPerUser", "ERR_INVALID_VALUE"],
    ["PUT", `${CREATE}?ip=::1&absolute=2.5`, "absolute must be a positive integer >=", "ERR_INVALID_VALUE"],
    ["PUT", `${CREATE}?ip=::1&device=${"d".repeat(65)}`, "Invalid device format", "ERR_INVALID_FORMAT"],
    ["PUT", `${CREATE}?ip=::1&no_resave=1`, "no_resave must be true or false", "ERR_INVALID_VALUE"],
    ["PUT", `${CREATE}?ip=::1`, "d must be an object", "ERR_INVALID_VALUE", []],
    ["PUT", `${CREATE}?ip=::1`, "d.a has a forbidden type", "ERR_INVALID_VALUE", { a: [] }],
    ["PUT", `/webapp/create/${"u".repeat(129)}?ip=::1`, "Invalid id format", "ERR_INVALID_FORMAT"],
    ["PUT", "/ab/create/alice?ip=::1", "Invalid app format", "ERR_INVALID_FORMAT"],
    ["GET", "/web%20app/soid/alice", "Invalid app format", "ERR_INVALID_FORMAT"],
    ["GET", `/webapp/get/${TOKEN}x`, "Invalid token format", "ERR_INVALID_FORMAT"],
    ["GET", `/webapp/get/${"%21".repeat(27)}`, "Invalid token format", "ERR_INVALID_FORMAT"],
    ["GET", "/webapp/get/-", "No token supplied", "ERR_MISSING_PARAMETER"],
    ["GET", `/webapp/get/${TOKEN}?touch=no`, "touch must be true or false", "ERR_INVALID_VALUE"],
    ["DELETE", "/webapp/killsoid/alice?excpt=x", 'has no option "excpt". Did you mean "except"?', "ERR_INVALID_VALUE"],
    ["DELETE", "/webapp/killsoid/alice?except=a&except=b", "killsoid takes one except", "ERR_INVALID_VALUE"],
    ["DELETE", "/webapp/killall?id=alice", 'killall has no option "id". It takes none.', "ERR_INVALID_VALUE"],
    ["PUT", `${CREATE}?ip=::1&tll=60`, 'create has no option "tll". Did you mean "ttl"?', "ERR_INVALID_VALUE"],
    ["PUT", `${CREATE}?ip=::1&maxPerUser=0`, "maxPerUser must be an integer >= 1", "ERR_INVALID_VALUE"],
    [
      "PUT",
      `${CREATE}?ip=::1&maxPerUser=1&overflow=newest`,
      'overflow must be "oldest", "idle" or',
      "ERR_INVALID_VALUE",
    ],
    ["PUT", `${CREATE}?ip=::1&replaces=${TOKEN}`, 'create has no option "replaces". It takes ip,', "ERR_INVALID_VALUE"],
    ["GET", "/webapp/soapp?dt=60&deltaTime=60", "Give dt or deltaTime, not both", "ERR_INVALID_VALUE"],
    ["GET", `/webapp/get/-?${TOKEN}`, "get has no such option. It takes touch.", "ERR_INVALID_VALUE"],
    ["GET", "/webapp/soapp?dt=60&__proto__=1", 'soapp has no option "__proto__"', "ERR_INVALID_VALUE"],
    ["POST", SET, "d must contain at least one key", "ERR_INVALID_VALUE"],
    ["POST", SET, "d must contain at least one key", "ERR_INVALID_VALUE", {}],
    ["POST", SET, "d must be an object", "ERR_INVALID_VALUE", []],
    ["POST", SET, "d must be an object", "ERR_INVALID_VALUE", [{ a: 1 }]],
    ["POST", SET, "d.arr has a forbidden type. Only strings, numbers, boolean", "ERR_INVALID_VALUE", { arr: [1] }],
    ["POST", `/webapp/rotate/${"r".repeat(27)}`, "Invalid token format", "ERR_INVALID_FORMAT"],
    ["POST", `/webapp/rotate/${TOKEN}?grace=-1`, "grace must be an integer >= 0", "ERR_INVALID_VALUE"],
    ["POST", `/webapp/rotate/${TOKEN}?confirm=yes`, "confirm must be true or false", "ERR_INVALID_VALUE"],
    ["GET", "/webapp/soapp", "No dt supplied", "ERR_MISSING_PARAMETER"],
    ["GET", "/webapp/soapp?dt=ten", "dt must be a positive integer >= 10", "ERR_INVALID_VALUE"],
    ["GET", "/webapp/soapp?dt=60&limit=0", "limit must be an integer >= 1", "ERR_INVALID_VALUE"],
    ["GET", "/webapp/soapp?dt=60&offset=x", "offset must be an integer >= 0", "ERR_INVALID_VALUE"],
    ["GET", "/webapp/activity?dt=9", "dt must be a positive integer >= 10", "ERR_INVALID_VALUE"],
    ["DELETE", "/webapp/kill/short", "Invalid token format", "ERR_INVALID_FORMAT"],
    ["DELETE", "/webapp/killsoid/alice?except=x", "Invalid ref format", "ERR_INVALID_FORMAT"],
    ["DELETE", "/no/killall", "Invalid app format", "ERR_INVALID_FORMAT"],
  ])("refuses %s %s: %s", async (method, path, detail, code, body) => {
    const api = await t.open();
    const answer = await api.call(method, path, { body });
    expectProblem(answer, 400, code);
    expect((answer.body as Problem).detail).toContain(detail);
    expect(await t.db.keys("*")).toEqual([]);
  });

  test.each([
    ["POST", SET, { a: [] }, "construct RedisSessions with nested: true"],
    ["GET", `/webapp/get/${TOKEN}x`, undefined, `64 of A-Z a-z 0-9; ${OR_REF}`],
    ["POST", "/webapp/set/short", { a: 1 }, `64 of A-Z a-z 0-9; ${OR_REF}`],
    ["DELETE", "/webapp/kill/short", undefined, `64 of A-Z a-z 0-9; ${OR_REF}`],
    ["POST", "/webapp/rotate/short", undefined, "64 of A-Z a-z 0-9"],
    ["GET", "/no/get/short", undefined, "3 to 20 of A-Z a-z 0-9 _ -"],
    [
      "GET",
      "/webapp/get/-",
      undefined,
      "pass the token that create returned, or a ref; soid and killsoid take a user's id",
    ],
  ])("adds a hint to the error of %s %s", async (method, path, body, hint) => {
    const api = await t.open();
    expect(((await api.call(method, path, { body })).body as Problem).hint).toBe(hint);
  });

  test.each<[string, string | Buffer, string]>([
    ["broken", '{"a":', "The body is not JSON"],
    ["blank", "  ", "The body is not JSON"],
    ["a string", '"abc"', "The body must be a JSON object"],
    ["a number", "12", "The body must be a JSON object"],
    ["null", "null", "The body must be a JSON object"],
    ["not JSON", "a=1&b=2", "The body is not JSON"],
    ["not gzip as announced", Buffer.from("no gzip"), "The body does not match its Content-Encoding"],
  ])("refuses a body that is %s", async (what, body, detail) => {
    const api = await t.open();
    const headers = { ...JSON_TYPE, ...(/gzip/.test(what) && { "Content-Encoding": "gzip" }) };
    for (const [method, path] of [["POST", SET] as const, ["PUT", `${CREATE}?ip=::1`] as const]) {
      const answer = await api.call(method, path, { body, headers });
      expectProblem(answer, 400, "ERR_INVALID_REQUEST");
      expect((answer.body as Problem).detail).toContain(detail);
    }
    expect(await t.db.keys("*")).toEqual([]);
  });

  test.each(["/webapp/soid/%", "/webapp/soid/%ff", "/%E0%A4%A/killall", "/webapp/get/%ED%A0%80"])(
    "refuses the invalid encoding in %s",
    async (path) => {
      const api = await t.open();
      const answer = await api.call(path.endsWith("killall") ? "DELETE" : "GET", path);
      expectProblem(answer, 400, "ERR_INVALID_REQUEST", "The path is not percent-encoded UTF-8");
    },
  );

  test.each(["ip=%ff", "ip=::1&device=%ED%A0%80", "ip=::1&device=50%", "ip=::1&%ff=1"])(
    "refuses the invalid encoding in ?%s",
    async (query) => {
      const api = await t.open();
      const answer = await api.call("PUT", `${CREATE}?${query}`);
      expectProblem(answer, 400, "ERR_INVALID_REQUEST", "The query is not percent-encoded UTF-8");
      expect(await t.db.keys("*")).toEqual([]);
    },
  );

  test("answers 404 for an unknown route", async () => {
    const api = await t.open();
    for (const path of ["/", "/webapp", "/webapp/get", "/webapp/nothing/x", "/webapp/get/a/b", "/favicon.ico"]) {
      expectProblem(await api.get(path), 404, "ERR_NOT_FOUND");
    }
  });

  test("answers 405 with Allow for a method that the route does not have", async () => {
    const api = await t.open();
    const refused: [string, string, string][] = [
      ["POST", CREATE, "PUT"],
      ["GET", SET, "POST"],
      ["DELETE", "/webapp/get/x", "GET, HEAD"],
      ["HEAD", "/webapp/killall", "DELETE"],
      ["POST", "/ping", "GET, HEAD"],
      ["PROPFIND", "/openapi.json", "GET, HEAD"],
    ];
    for (const [method, path, allow] of refused) {
      const answer = await api.call(method, path);
      expect([method, answer.status, answer.headers.allow]).toEqual([method, 405, allow]);
      if (method !== "HEAD") expectProblem(answer, 405, "ERR_METHOD_NOT_ALLOWED");
    }
  });

  test("answers 413 for a plain, chunked or decompressed body over 64 KiB", async () => {
    const api = await t.open();
    const large = JSON.stringify({ a: "x".repeat(64 * 1024) });
    expectProblem(await api.call("POST", SET, { body: large, headers: JSON_TYPE }), 413, "ERR_BODY_TOO_LARGE");
    const headers = { ...JSON_TYPE, "Transfer-Encoding": "chunked" };
    expectProblem(await api.call("PUT", `${CREATE}?ip=::1`, { body: large, headers }), 413, "ERR_BODY_TOO_LARGE");
    const { gzipSync } = await import("node:zlib");
    const zipped = { body: gzipSync(large), headers: { ...JSON_TYPE, "Content-Encoding": "gzip" } };
    expect(zipped.body.length).toBeLessThan(1024);
    expectProblem(await api.call("POST", SET, zipped), 413, "ERR_BODY_TOO_LARGE");
    expect(await t.db.keys("*")).toEqual([]);
  });

  test("answers 415 for a body without a JSON content type", async () => {
    const api = await t.open();
    const asks: Ask[] = [
      { body: '{"a":1}', headers: { "Content-Type": "text/plain" } },
      { body: '{"a":1}' },
      { body: "a=1", headers: { "Content-Type": "application/x-www-form-urlencoded" } },
      { body: '{"a":1}', headers: { "Content-Type": "application/json; charset=latin1" } },
      { body: '{"a":1}', headers: { ...JSON_TYPE, "Content-Encoding": "zstd-and-more" } },
      { body: '{"a":1}', headers: { "Content-Type": "a/b", "Transfer-Encoding": "chunked" } },
    ];
    for (const ask of asks) expectProblem(await api.call("POST", SET, ask), 415, "ERR_UNSUPPORTED_MEDIA_TYPE");
    expectProblem(await api.call("DELETE", "/webapp/killall", asks[0]), 415, "ERR_UNSUPPORTED_MEDIA_TYPE");
  });

  test("keeps working after a client disconnects inside its body", async () => {
    const api = await t.open();
    const socket = connect(api.port, "127.0.0.1");
    socket.write(`POST ${SET} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"a"`);
    await new Promise((resolve) => setTimeout(resolve, 30));
    socket.destroy();
    expect((await api.get("/ping")).text).toBe("PONG");
  });

  /** Sends one request to each route and expects a 503 from all. */
  async function expectOutage(api: Api): Promise<void> {
    const asks: [string, string, Ask?][] = [
      ["PUT", `${CREATE}?ip=::1`],
      ["GET", `/webapp/get/${TOKEN}`],
      ["POST", SET, { body: { a: 1 } }],
      ["POST", `/webapp/rotate/${TOKEN}`],
      ["GET", "/webapp/soid/alice"],
      ["GET", "/webapp/soapp?dt=60"],
      ["GET", "/webapp/activity?dt=60"],
      ["DELETE", `/webapp/kill/${TOKEN}`],
      ["DELETE", "/webapp/killsoid/alice"],
      ["DELETE", "/webapp/killall"],
      ["GET", "/ping"],
    ];
    const began = performance.now();
    const answers = await Promise.all(asks.map(([method, path, ask]) => api.call(method, path, ask)));
    // The engine's timeout is 300 ms. The margin is for a busy machine.
    expect(performance.now() - began).toBeLessThan(2000);
    for (const answer of answers) {
      const { code } = answer.body as Problem;
      expectProblem(answer, 503, code === "ERR_TIMEOUT" ? code : "ERR_UNAVAILABLE");
      expect(answer.headers["retry-after"]).toBe("1");
    }
  }

  test("answers 503 on every route within the timeout while Redis hangs, and still 400 for bad input", async () => {
    const api = await slow.open();
    expect((await api.get("/ping")).status).toBe(200);
    slow.redis.pause();
    try {
      await expectOutage(api);
      expectProblem(await api.get("/webapp/get/short"), 400, "ERR_INVALID_FORMAT");
      expect((await api.get("/openapi.json")).status).toBe(200);
    } finally {
      slow.redis.resume();
    }
    await expect.poll(async () => (await api.get("/ping")).status, { timeout: 5000 }).toBe(200);
  });

  test("answers 503 on every route within the timeout while Redis is down", async () => {
    const api = await slow.open();
    await slow.redis.kill();
    try {
      await expectOutage(api);
    } finally {
      await slow.redis.start();
    }
    await expect.poll(async () => (await api.get("/ping")).status, { timeout: 10_000 }).toBe(200);
  });

  test("answers 500 without details for an error reply of Redis", async () => {
    const api = await t.open();
    await t.db.set("rs:{webapp}:users", "no zset");
    const answer = await api.get("/webapp/activity?dt=60");
    expectProblem(answer, 500, "ERR_INTERNAL");
    expect(answer.text).not.toMatch(/WRONGTYPE|users|rs:/);
  });

  test("repeats no token of the path or the header in an error", async () => {
    const api = await t.open();
    const secret = "S3cret".repeat(10);
    const headers = { "X-Session-Token": secret };
    const answers = [
      await api.get(`/webapp/get/${secret}`),
      await api.get("/webapp/get/-", { headers }),
      await api.call("POST", `/webapp/set/${secret}`, { body: `{"a":"${secret}`, headers: JSON_TYPE }),
      await api.call("PATCH", `/webapp/get/${secret}`),
      await api.get(`/webapp/gets/${secret}`),
      await api.call("DELETE", `/webapp/killsoid/alice?except=${secret}`),
      await api.get(`/webapp/get/${secret}%`),
    ];
    for (const { status, text } of answers) {
      expect(status).toBeGreaterThanOrEqual(400);
      expect(text).not.toContain("S3cret");
    }
  });
}

import { inspect } from "node:util";
import { expect, test } from "vitest";
import type { Authorize } from "../../../src/rest/index.js";
import { type Api, useApi } from "../support/api.js";
import { expectProblem, type Problem } from "../support/problem.js";

const KEY = "k1-0123456789abcdef";
const SHOP = "k2-0123456789abcdef";
const READER = "k3-0123456789abcdef";
const TOKEN = "t".repeat(64);

const KEYS: Authorize = [KEY, { key: SHOP, apps: ["shop", "shop-test"] }, { key: READER, readOnly: true }];

const ROUTES: [method: string, path: string, writes: boolean][] = [
  ["PUT", "/webapp/create/alice?ip=127.0.0.1", true],
  ["GET", `/webapp/get/${TOKEN}`, false],
  ["POST", `/webapp/set/${TOKEN}`, true],
  ["POST", `/webapp/rotate/${TOKEN}`, true],
  ["GET", "/webapp/soid/alice", false],
  ["GET", "/webapp/soapp?dt=60", false],
  ["GET", "/webapp/activity?dt=60", false],
  ["DELETE", `/webapp/kill/${TOKEN}`, true],
  ["DELETE", "/webapp/killsoid/alice", true],
  ["DELETE", "/webapp/killall", true],
];

/** Checks `authorize`: which requests are permitted, and which are refused. */
export function describeGuard(): void {
  const t = useApi();

  /** Sends a request with this key to the route. */
  function ask(api: Api, [method, path]: readonly [string, string, ...unknown[]], key?: string) {
    const headers = key === undefined ? {} : { Authorization: `Bearer ${key}` };
    return api.call(method, path, { headers, ...(method === "POST" && { body: { a: 1 } }) });
  }

  test.each([
    ["no key", {}],
    ["a wrong key", { Authorization: "Bearer wrong-wrong-wrong-wrong" }],
    ["an empty key", { Authorization: "Bearer " }],
    ["a part of a key", { Authorization: `Bearer ${KEY.slice(0, -1)}` }],
    ["a key and more", { "X-API-Key": `${KEY}x` }],
    ["a password", { Authorization: `Basic ${Buffer.from(`x:${KEY}`).toString("base64")}` }],
    ["the key in the query", {}],
  ])("answers 401 on every route and changes nothing, with %s", async (what, headers) => {
    const api = await t.open({ authorize: KEYS });
    const { ref } = await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
    for (const [method, path] of ROUTES) {
      const query = what.endsWith("query") ? `${path.includes("?") ? "&" : "?"}key=${KEY}` : "";
      const answer = await api.call(method, path + query, { headers });
      expectProblem(answer, 401, "ERR_UNAUTHORIZED", "Send an API key: Authorization: Bearer <key>");
      expect(answer.headers["www-authenticate"]).toMatch(/^Bearer/);
      expect(answer.text).not.toMatch(/wrong|0123456789/);
    }
    expect((await t.rs.soapp({ app: "webapp", dt: 60 })).sessions).toMatchObject([{ ref, w: 1, r: 1 }]);
  });

  test("accepts a valid key in one header if the other header has a foreign one", async () => {
    const api = await t.open({ authorize: KEYS });
    for (const headers of [
      { Authorization: "Bearer of-another-service", "X-API-Key": KEY },
      { Authorization: `Bearer ${KEY}`, "X-API-Key": "of-another-service" },
    ]) {
      expect((await api.get("/webapp/soid/alice", { headers })).status).toBe(200);
    }
  });

  test("accepts the key as Authorization: Bearer and as X-API-Key", async () => {
    const api = await t.open({ authorize: KEYS });
    const accepted = [
      { Authorization: `Bearer ${KEY}` },
      { Authorization: `bearer   ${KEY}` },
      { "X-API-Key": KEY },
      { "X-API-Key": KEY, Authorization: "Basic eDp5" },
    ];
    for (const headers of accepted) {
      expect((await api.get("/webapp/activity?dt=60", { headers })).body).toEqual({ activity: 0 });
    }
  });

  test("permits every route of every app for a key without limits", async () => {
    const api = await t.open({ authorize: KEYS });
    for (const route of ROUTES) expect((await ask(api, route, KEY)).status).toBe(200);
    expect((await ask(api, ["GET", "/any-app/soid/alice"], KEY)).status).toBe(200);
  });

  test("answers 403 if the key is for another app", async () => {
    const api = await t.open({ authorize: KEYS });
    await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
    for (const route of ROUTES) expectProblem(await ask(api, route, SHOP), 403, "ERR_FORBIDDEN");
    for (const path of ["/sho/soid/x", "/Shop/soid/x", "/shop-test2/soid/x", "/sh%6Fp%20/soid/x"]) {
      expectProblem(await ask(api, ["GET", path], SHOP), 403, "ERR_FORBIDDEN");
    }
    expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toMatchObject([{ w: 1 }]);
    expect((await ask(api, ["PUT", "/shop/create/alice?ip=::1"], SHOP)).status).toBe(200);
    expect((await ask(api, ["GET", "/sh%6Fp-test/soid/x"], SHOP)).status).toBe(200);
  });

  test("permits reads and answers 403 for changes with a read-only key", async () => {
    const api = await t.open({ authorize: KEYS });
    for (const route of ROUTES) {
      const answer = await ask(api, route, READER);
      if (route[2]) expectProblem(answer, 403, "ERR_FORBIDDEN", /read/);
      else expect(answer.status).toBe(200);
    }
    expect(await t.db.keys("*")).toEqual([]);
  });

  test("does not describe errors of a request without a key", async () => {
    const api = await t.open({ authorize: KEYS });
    const large = { body: "x".repeat(70_000), headers: { "Content-Type": "application/json" } };
    for (const [method, path, options] of [
      ["GET", "/webapp/get/short", {}],
      ["POST", `/webapp/set/${TOKEN}`, large],
      ["DELETE", "/no/killall", {}],
    ] as const) {
      expectProblem(await api.call(method, path, options), 401, "ERR_UNAUTHORIZED");
    }
  });

  test("requires no key for /ping and /openapi.json", async () => {
    const api = await t.open({ authorize: KEYS });
    expect((await api.get("/ping")).text).toBe("PONG");
    expect((await api.get("/openapi.json")).status).toBe(200);
  });

  test("permits every request if authorize is false", async () => {
    const api = await t.open({ authorize: false });
    for (const route of ROUTES) expect((await ask(api, route)).status).toBe(200);
  });

  test.each<[string, Exclude<Authorize, false | readonly unknown[]>, number]>([
    ["true", () => true, 200],
    ["a promise of true", async () => true, 200],
    ["its app", () => ({ apps: ["webapp"] }), 200],
    ["a promise of its app", async () => ({ apps: ["other", "webapp"] }), 200],
    ["only readOnly", () => ({ readOnly: true }), 200],
    ["false", () => false, 401],
    ["a promise of false", async () => false, 401],
    ["undefined", () => undefined as never, 401],
    ["null", async () => null as never, 401],
    ["another app", () => ({ apps: ["other"] }), 403],
    ["no app", async () => ({ apps: [] }), 403],
    ["a string as apps", () => ({ apps: "webapp-and-more" as never }), 500],
    ["a misspelt grant", () => ({ app: ["other"] }) as never, 500],
  ])("applies the result of a function that returns %s", async (_what, authorize, status) => {
    const api = await t.open({ authorize });
    const answer = await api.get("/webapp/soid/alice");
    expect(answer.status).toBe(status);
    if (status !== 401) return;
    expect(answer.headers["www-authenticate"]).toMatch(/^Bearer/);
    expectProblem(answer, 401, "ERR_UNAUTHORIZED", /Ask its operator/);
  });

  test("passes the request to the function, which can limit it to reads", async () => {
    const seen: string[] = [];
    const api = await t.open({
      mount: "/s",
      authorize: (req) => {
        seen.push(`${req.method} ${req.get("x-who")} ${req.originalUrl}`);
        return { apps: ["webapp"], readOnly: req.get("x-who") !== "admin" };
      },
    });
    const path = "/webapp/killall";
    expectProblem(await api.call("DELETE", path, { headers: { "X-Who": "intern" } }), 403, "ERR_FORBIDDEN");
    expect((await api.call("DELETE", path, { headers: { "X-Who": "admin" } })).body).toEqual({ kill: 0 });
    expect(seen).toEqual(["DELETE intern /s/webapp/killall", "DELETE admin /s/webapp/killall"]);
  });

  test.each<[string, Authorize]>([
    [
      "throws",
      () => {
        throw new Error(`cannot look up ${KEY}`);
      },
    ],
    ["rejects", () => Promise.reject(new Error(`cannot look up ${KEY}`))],
    ...[[], [{}], new Set(["webapp"]), new Error("no"), "no", 1, { apps: undefined }, { apps: "webapp" }].map(
      (answer): [string, Authorize] => [
        `returns ${inspect(answer).split("\n")[0]}`,
        () => answer as unknown as boolean,
      ],
    ),
  ])("answers 500 without details if the function %s", async (_how, authorize) => {
    const api = await t.open({ authorize });
    const { ref } = await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
    const answer = await api.call("DELETE", "/webapp/killall");
    expectProblem(answer, 500, "ERR_INTERNAL");
    expect((answer.body as Problem).detail).not.toContain("look up");
    expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toMatchObject([{ ref }]);
  });
}

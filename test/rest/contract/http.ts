import { gzipSync } from "node:zlib";
import express, { type RequestHandler } from "express";
import { expect, test } from "vitest";
import { useApi } from "../support/api.js";
import type { Problem } from "../support/problem.js";

/** Checks the HTTP behaviour that all routes have in common. */
export function describeHttp(): void {
  const t = useApi();

  test.each([
    "alice@example.com",
    "tenant/7/alice",
    "딸기",
    "a b+c&d=e?f#g",
    "50%",
    "%2F",
    "..",
    '"quoted"\\',
    "😀".repeat(64),
  ])("accepts the user id %s", async (id) => {
    const api = await t.open({ mount: "/s" });
    const path = encodeURIComponent(id);
    const { token } = await api.create(`/webapp/create/${path}?ip=127.0.0.1`);
    expect((await api.get(`/webapp/get/${token}`)).body).toMatchObject({ id });
    expect((await t.rs.soid({ app: "webapp", id })).sessions).toHaveLength(1);
    expect((await api.get(`/webapp/soid/${path}`)).body).toMatchObject({ sessions: [{ id }] });
    expect((await api.call("DELETE", `/webapp/killsoid/${path}`)).body).toEqual({ kill: 1 });
  });

  test("answers HEAD like GET, without a body", async () => {
    const api = await t.open();
    const { token } = await api.create();
    const get = await api.get(`/webapp/get/${token}?touch=false`);
    const head = await api.call("HEAD", `/webapp/get/${token}?touch=false`);
    expect(head.status).toBe(200);
    expect(head.text).toBe("");
    expect(head.headers["content-length"]).toBe(get.headers["content-length"]);
    expect((await api.call("HEAD", "/webapp/nothing")).status).toBe(404);
  });

  test("answers OPTIONS with the methods of the route", async () => {
    const api = await t.open();
    const allowed = async (path: string) => {
      const { status, headers, text } = await api.call("OPTIONS", path);
      expect({ status, text }).toEqual({ status: 204, text: "" });
      return headers.allow;
    };
    expect(await allowed("/webapp/get/x")).toBe("GET, HEAD");
    expect(await allowed("/webapp/create/alice")).toBe("PUT");
    expect(await allowed("/webapp/killall")).toBe("DELETE");
    expect(await allowed("/ping")).toBe("GET, HEAD");
  });

  test("sends Cache-Control: no-store and X-Content-Type-Options: nosniff with every answer", async () => {
    const api = await t.open();
    const { token } = await api.create();
    const asked: [string, string][] = [
      ["GET", `/webapp/get/${token}`],
      ["GET", "/ping"],
      ["GET", "/openapi.json"],
      ["OPTIONS", "/ping"],
      ["GET", "/webapp/get/short"],
      ["GET", "/nothing"],
      ["POST", "/ping"],
      ["GET", "/webapp/soid/%"],
    ];
    for (const [method, path] of asked) {
      const { headers } = await api.call(method, path);
      expect([path, headers["cache-control"], headers["x-content-type-options"]]).toEqual([
        path,
        "no-store",
        "nosniff",
      ]);
    }
  });

  test("accepts a compressed, a chunked and an empty body", async () => {
    const api = await t.open();
    const { token } = await api.create(undefined, { body: {} });
    const json = { "Content-Type": "application/json; charset=utf-8" };
    const set = `/webapp/set/${token}`;
    const zipped = await api.call("POST", set, {
      body: gzipSync('{"a":1}'),
      headers: { ...json, "Content-Encoding": "gzip" },
    });
    expect(zipped.body).toMatchObject({ d: { a: 1 } });
    const chunked = await api.call("POST", set, {
      body: '{"b":"ü"}',
      headers: { ...json, "Transfer-Encoding": "chunked" },
    });
    expect(chunked.body).toMatchObject({ d: { a: 1, b: "ü" } });
    const none = await api.call("PUT", "/webapp/create/bob?ip=::1", { headers: { ...json, "Content-Length": 0 } });
    expect(none.status).toBe(200);
  });

  test.each([
    ["a value", '{"__proto__":"mine","a":1}'],
    ["an object", '{"__proto__":{"admin":true}}'],
  ])("refuses __proto__ in a body, with %s, and pollutes nothing", async (_what, body) => {
    const api = await t.open();
    const { token } = await api.create();
    const headers = { "Content-Type": "application/json" };
    const { status, text } = await api.call("POST", `/webapp/set/${token}`, { body, headers });
    expect(status).toBe(400);
    expect(text).toContain("d.__proto__");
    const plain: { a?: unknown; admin?: unknown } = {};
    expect([plain.a, plain.admin]).toEqual([undefined, undefined]);
    expect((await api.get(`/webapp/get/${token}`)).text).not.toContain("__proto__");
  });

  test.each<[string, string, () => RequestHandler, string]>([
    ["bytes", '{"a":1}', () => express.raw({ type: "*/*" }), "d must be an object"],
    ["a string", '{"a":1}', () => express.text({ type: "*/*" }), "d must be an object"],
    ["a number", "7", () => express.json({ strict: false }), "d must be an object"],
  ])("refuses %s from another body parser", async (_what, body, parser, detail) => {
    const api = await t.open({ use: parser() });
    const { token } = await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
    const headers = { "Content-Type": "application/json" };
    for (const [method, path] of [
      ["POST", `/webapp/set/${token}`],
      ["PUT", "/webapp/create/alice?ip=::1"],
    ] as const) {
      const answer = await api.call(method, path, { body, headers });
      expect(answer.status).toBe(400);
      expect((answer.body as Problem).detail).toMatch(new RegExp(detail));
    }
    expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toMatchObject([{ w: 1 }]);
  });

  test("takes null from another body parser for an empty body", async () => {
    const api = await t.open({ use: express.json({ strict: false }) });
    const { token } = await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
    const request = { body: "null", headers: { "Content-Type": "application/json" } };
    expect((await api.call("POST", `/webapp/set/${token}`, request)).status).toBe(400);
    expect((await api.call("PUT", "/webapp/create/alice?ip=::1", request)).status).toBe(200);
    expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toEqual([
      expect.not.objectContaining({ d: expect.anything() }),
      expect.objectContaining({ w: 1 }),
    ]);
  });

  test("refuses JSON that is nested thousands of levels deep", async () => {
    const api = await t.open();
    const { token } = await api.create();
    const body = `{"a":${"[".repeat(30_000)}${"]".repeat(30_000)}}`;
    const headers = { "Content-Type": "application/json" };
    expect((await api.call("POST", `/webapp/set/${token}`, { body, headers })).status).toBe(400);
  });

  test("accepts a body of exactly 64 KiB", async () => {
    const api = await t.open();
    const { token } = await api.create();
    const text = "x".repeat(64 * 1024 - '{"a":""}'.length);
    const { status, body } = await api.call("POST", `/webapp/set/${token}`, { body: { a: text } });
    expect(status).toBe(200);
    expect(body).toMatchObject({ d: { a: text } });
  });
}

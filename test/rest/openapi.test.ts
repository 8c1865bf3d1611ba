import { Validator } from "@seriousme/openapi-schema-validator";
import type { Router } from "express";
import { describe, expect, test } from "vitest";
import { rest } from "../../src/rest/index.js";
import { type Api, useApi } from "./support/api.js";
import {
  type Description,
  fail,
  type Operation,
  operationsOf,
  type Response,
  validatorOf,
} from "./support/description.js";

const KEY = "0123456789abcdef";
const authorized = { Authorization: `Bearer ${KEY}` };

const t = useApi();

async function open(): Promise<{ api: Api; description: Description }> {
  const api = await t.open({ authorize: [KEY], mount: "/sessions" });
  return { api, description: (await api.get("/openapi.json")).body as Description };
}

/** Builds a request for an operation from its description and these values only. */
async function ask(api: Api, method: string, path: string, operation: Operation, values: Record<string, string>) {
  const parameters = operation.parameters ?? [];
  const target = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name] ?? "?"));
  const query = new URLSearchParams();
  for (const { name, in: place } of parameters) {
    if (place === "query" && values[name] !== undefined) query.set(name, values[name]);
  }
  const headers: Record<string, string> = operation.security?.length === 0 ? {} : { ...authorized };
  if (values.token === "-") headers["X-Session-Token"] = values["X-Session-Token"] ?? "";
  const body = operation.requestBody === undefined ? {} : { body: { theme: "dark", visits: 3 } };
  return api.call(method, `${target}?${query}`, { headers, ...body });
}

/** Creates a session. Returns a valid value for every parameter. */
async function goodValues(): Promise<Record<string, string>> {
  const { token } = await t.rs.create({ app: "webapp", id: "alice", ip: "127.0.0.1", device: "curl", d: { a: 1 } });
  const { ref } = await t.rs.create({ app: "webapp", id: "alice", ip: "127.0.0.1", no_resave: true });
  const user = { app: "webapp", id: "alice", ip: "203.0.113.7", device: "Firefox", except: ref };
  const spans = {
    ttl: "600",
    maxAge: "600",
    absolute: "6000",
    maxPerUser: "9",
    overflow: "oldest",
    dt: "600",
    limit: "10",
    offset: "0",
    grace: "5",
    by: "2",
    max: "100",
  };
  return { ...user, ...spans, token, "X-Session-Token": token, key: "a", touch: "true", no_resave: "true" };
}

describe("openapi.json", () => {
  test("is valid OpenAPI 3.1", async () => {
    const { description } = await open();
    const validator = new Validator();
    const { valid, errors } = await validator.validate({ ...description });
    expect(errors ?? []).toEqual([]);
    expect(valid).toBe(true);
    expect(validator.version).toBe("3.1");
    const ids = operationsOf(description).map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("describes exactly the routes of the router", async () => {
    const { description } = await open();
    const router = rest({ rs: t.rs, authorize: false }) as Router & {
      stack: { route?: { path: string; stack: { method?: string }[] } }[];
    };
    const served = router.stack.flatMap(({ route }) =>
      (route?.stack ?? []).flatMap(({ method }) =>
        method === undefined ? [] : [`${method.toUpperCase()} ${route?.path.replace(/:(\w+)/g, "{$1}")}`],
      ),
    );
    const described = operationsOf(description).map(({ method, path }) => `${method} ${path}`);
    expect(described.length).toBeGreaterThan(10);
    expect(described.sort()).toEqual([...new Set(served)].sort());
  });

  test("describes the request and the answer of every operation", async () => {
    const { api, description } = await open();
    const problemsOf = validatorOf(description);
    for (const { method, path, operation } of operationsOf(description)) {
      for (const inHeader of path.includes("{token}") ? [false, true] : [false]) {
        const values = await goodValues();
        const { status, headers, text, body } = await ask(api, method, path, operation, {
          ...values,
          ...(inHeader && { token: "-" }),
        });
        const name = `${operation.operationId}${inHeader ? " by header" : ""}`;
        expect([name, status]).toEqual([name, 200]);
        const [[type, { schema }]] = Object.entries(operation.responses[200]?.content ?? {}) as [[string, Response]] &
          [[string, { schema: object }]];
        expect(headers["content-type"]).toContain(type);
        expect([name, problemsOf(schema, body ?? text)]).toEqual([name, ""]);
        // `{}` also matches the schema, but this session exists.
        if (type === "application/json") expect([name, Object.keys(body as object)]).not.toEqual([name, []]);
      }
      await t.db.flushdb();
    }
  });

  test("describes the refusal of a bad value for every parameter", async () => {
    const { api, description } = await open();
    const problemsOf = validatorOf(description);
    const bad: Record<string, string> = {
      app: "no",
      id: "u".repeat(129),
      actor: "u".repeat(129),
      token: "short",
      "X-Session-Token": "short",
      key: "",
    };
    const tried = [];
    for (const { method, path, operation } of operationsOf(description)) {
      for (const parameter of operation.parameters ?? []) {
        const { name, schema } = parameter;
        const values = { ...(await goodValues()), ...(parameter.in === "header" && { token: "-" }) };
        const wrong = [bad[name] ?? "x".repeat(65).concat(" ")];
        if (parameter.in === "query" && schema.minLength === 1) wrong.push("");
        if (schema.maxLength !== undefined) wrong.push("x".repeat(schema.maxLength + 1));
        if (schema.pattern !== undefined) expect(new RegExp(schema.pattern).test(`${bad[name]}`)).toBe(false);
        if (schema.minimum !== undefined) wrong.push(`${schema.minimum - 1}`, `${schema.minimum}.5`);
        for (const value of wrong) {
          const { status, headers, body } = await ask(api, method, path, operation, { ...values, [name]: value });
          const what = `${operation.operationId} with ${name}=${value}`;
          expect([what, status]).toEqual([what, 400]);
          const [type, { schema: problem }] = Object.entries(operation.responses[400]?.content ?? {})[0] ?? fail();
          expect(headers["content-type"]).toContain(type);
          expect(problemsOf(problem, body)).toBe("");
          tried.push(what);
        }
      }
    }
    expect(tried.length).toBeGreaterThan(30);
  });

  test("marks exactly the required parameters as required", async () => {
    const { api, description } = await open();
    for (const { method, path, operation } of operationsOf(description)) {
      for (const { name, required, in: place } of operation.parameters ?? []) {
        if (place !== "query") continue;
        const { [name]: _, ...values } = await goodValues();
        // One depends on the other.
        if (name === "maxPerUser") delete values.overflow;
        const { status } = await ask(api, method, path, operation, values);
        expect([operation.operationId, name, status]).toEqual([operation.operationId, name, required ? 400 : 200]);
      }
    }
  });

  test("describes security for exactly the guarded operations", async () => {
    const { api, description } = await open();
    const problemsOf = validatorOf(description);
    for (const { method, path, operation } of operationsOf(description)) {
      const target = path.replace(/\{(\w+)\}/g, "x");
      const { status, body } = await api.call(method, target);
      const open = operation.security?.length === 0;
      expect([target, status]).toEqual([target, open ? 200 : 401]);
      const problem = operation.responses[401]?.content["application/problem+json"];
      if (!open) expect(problemsOf(problem?.schema ?? fail(), body)).toBe("");
    }
  });
});

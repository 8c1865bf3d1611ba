import { readFileSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, test } from "vitest";
import type { Authorize } from "../../src/rest/index.js";
import { useApi } from "./support/api.js";
import { type Description, fail, operationsOf, validatorOf } from "./support/description.js";

const KEY = "0123456789abcdef";

const t = useApi();

/** Returns the validated description of a router with this `authorize`, and the statuses of each operation. */
async function openBy(authorize: Authorize): Promise<{ description: Description; answers: string[][] }> {
  const description = (await (await t.open({ authorize })).get("/openapi.json")).body as Description;
  expect((await new Validator().validate({ ...description })).errors ?? []).toEqual([]);
  return { description, answers: operationsOf(description).map(({ operation }) => Object.keys(operation.responses)) };
}

describe("openapi.json", () => {
  test("requires a key for the guarded operations if authorize is a list of keys", async () => {
    const { description, answers } = await openBy([KEY]);
    expect(description).toMatchObject({ security: [{ key: [] }, { header: [] }] });
    expect(Object.keys(description.components.securitySchemes ?? {})).toEqual(["key", "header"]);
    expect(answers.filter((statuses) => statuses.includes("401"))).toHaveLength(answers.length - 2);
    expect(answers.filter((statuses) => statuses.includes("403"))).toHaveLength(answers.length - 2);
  });

  test("has no 401, and the 403 of `serve` on every operation, if authorize is false", async () => {
    const { description, answers } = await openBy(false);
    expect(description.security).toEqual([]);
    expect(description.components).not.toHaveProperty("securitySchemes");
    for (const statuses of answers) {
      expect(statuses).not.toContain("401");
      expect(statuses).toContain("403");
    }
  });

  test("describes no security scheme if authorize is a function", async () => {
    const { description, answers } = await openBy(() => true);
    expect(description).not.toHaveProperty("security");
    expect(description.components).not.toHaveProperty("securitySchemes");
    expect(description.info.description).toMatch(/server decides how callers authenticate/);
    expect(answers.filter((statuses) => statuses.includes("401"))).toHaveLength(answers.length - 2);
  });

  test("describes the headers of 401 and 503", async () => {
    const { description } = await openBy([KEY]);
    for (const { operation } of operationsOf(description)) {
      const { 401: refused, 503: away } = operation.responses;
      if (refused !== undefined) expect(refused.headers).toHaveProperty("WWW-Authenticate");
      if (away !== undefined) expect(away.headers).toHaveProperty("Retry-After");
    }
  });

  test("describes a session as complete or as {}", async () => {
    const { description } = await openBy([KEY]);
    const problemsOf = validatorOf(description);
    const session = {
      ref: "r",
      id: "alice",
      ip: "::1",
      r: 1,
      w: 1,
      ttl: 7200,
      idle: 0,
      created: 1,
      expires: 7_200_001,
      authTime: 1,
    };
    const { ref, ...rest } = session;
    const [get, rotate] = ["get", "rotate"].map((id) => {
      const found = operationsOf(description).find(({ operation }) => operation.operationId === id) ?? fail();
      return found.operation.responses[200]?.content["application/json"]?.schema ?? fail();
    });
    const judge = (schema: object | undefined, value: object) => problemsOf(schema ?? fail(), value) === "";
    expect([session, {}, rest, { ref }].map((value) => judge(get, value))).toEqual([true, true, false, false]);
    const token = "x".repeat(64);
    expect([{ token, ref }, {}, { token }, { ref }].map((value) => judge(rotate, value))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(problemsOf({ $ref: "#/components/schemas/Sessions" }, { sessions: [{}] })).not.toBe("");
  });

  test("permits a ref for every token parameter except that of rotate", async () => {
    const { description } = await openBy([KEY]);
    const said = operationsOf(description).flatMap(({ operation }) =>
      (operation.parameters ?? [])
        .filter(({ name }) => name === "token")
        .map((parameter) => [operation.operationId, /\bref\b/.test(parameter.description)]),
    );
    expect(Object.fromEntries(said)).toEqual({
      get: true,
      set: true,
      increment: true,
      touch: true,
      confirm: true,
      kill: true,
      rotate: false,
    });
  });

  test("has the same error codes as docs/rest-and-cli.md", async () => {
    const { description } = await openBy([KEY]);
    const { code } = (description.components.schemas.Problem ?? fail()).properties as { code: { enum: string[] } };
    const page = readFileSync("docs/rest-and-cli.md", "utf8");
    expect([...code.enum].sort()).toEqual([...new Set(page.match(/\bERR_\w+/g))].sort());
  });
});

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fromRedis, SessionError } from "../src/errors.js";
import { readPages } from "./support/pages.js";

/** The pages and headings that the source text of a folder refers to, as `docs/<page>.md#<heading>`. */
function referencesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => readFileSync(`${folder}/${file}`, "utf8").match(/\bdocs\/[\w/-]+\.md(#[\w-]+)?/g) ?? []);
}

describe("fromRedis", () => {
  test("refers to the heading about rights if Redis forbids a command", () => {
    const error = fromRedis(new Error("NOPERM this user has no permissions to run the 'evalsha' command"));
    expect(error.hint).toContain("docs/production.md#rights-acl");
  });

  test("removes the keys from the error about an unknown command", () => {
    const error = fromRedis(new Error("ERR unknown command 'evalsha', with args beginning with: 'rs:{webapp}:s:abc'"));
    expect(error.message).toBe("Redis answered with an error: ERR unknown command 'evalsha'");
  });
});

test("JSON of an error has its message and no cause", () => {
  const cause = new Error("the cause");
  expect(JSON.parse(JSON.stringify(new SessionError("timeout", "no answer", { hint: "look", cause })))).toEqual({
    name: "timeout",
    message: "no answer",
    code: "ERR_TIMEOUT",
    hint: "look",
    status: 503,
  });
  expect(JSON.parse(JSON.stringify(new SessionError("invalidValue", "bad")))).toEqual({
    name: "invalidValue",
    message: "bad",
    code: "ERR_INVALID_VALUE",
  });
});

test("refers only to existing pages and headings in hints and comments", () => {
  const pages = new Map(readPages().map(({ path, anchors }) => [path, anchors]));
  const references = referencesIn("src");
  expect(references).toContain("docs/production.md#rights-acl");
  const broken = references.filter((reference) => {
    const [page = "", heading] = reference.split("#");
    const anchors = pages.get(page);
    return anchors === undefined || (heading !== undefined && !anchors.includes(heading));
  });
  expect(broken).toEqual([]);
});

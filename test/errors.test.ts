import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import express from "express";
import { afterEach, describe, expect, test, vi } from "vitest";
import { fromRedis, SessionError } from "../src/errors.js";
import { readPages } from "./support/pages.js";
import { runProgram } from "./support/programs.js";

/** The pages and headings that the source text of a folder refers to, as `docs/<page>.md#<heading>`. */
function referencesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => readFileSync(`${folder}/${file}`, "utf8").match(/\bdocs\/[\w/-]+\.md(#[\w-]+)?/g) ?? []);
}

/** How often a text contains another. */
function countOf(part: string, text: string): number {
  return text.split(part).length - 1;
}

describe("SessionError", () => {
  const HINT = "an id is a string of 1 to 128 characters";
  const create = (cause?: Error) => new SessionError("invalidFormat", "Invalid id format", { hint: HINT, cause });

  afterEach(() => {
    vi.restoreAllMocks();
  });

  test("has the hint in its stack, between the message and the frames, and not in its message", () => {
    const error = create();
    expect(error.message).toBe("Invalid id format");
    expect(error.hint).toBe(HINT);
    expect(error.stack).toMatch(/^invalidFormat: Invalid id format\n {2}Hint: an id is .* characters\n {4}at /);
    expect(error.stack).toContain("errors.test.ts");
    expect(error.stack).not.toContain("src/errors.ts");
    expect(new SessionError("timeout", "Late").stack).toMatch(/: Late\n {4}at /);
  });

  test("is printed by console.log with its hint once, its code and its cause", () => {
    const printed = inspect(create(new Error("the reason")));
    expect(
      [HINT, "Invalid id format", "ERR_INVALID_FORMAT", "[cause]: Error: the reason"].map((part) =>
        countOf(part, printed),
      ),
    ).toEqual([1, 1, 1, 1]);
  });

  test("does not format its stack until somebody reads it", () => {
    const prepare = vi.fn(() => "formatted");
    const before = Error.prepareStackTrace;
    Error.prepareStackTrace = prepare;
    try {
      const error = create();
      expect(prepare).not.toHaveBeenCalled();
      expect(error.stack).toBe("formatted");
      expect(prepare).toHaveBeenCalledOnce();
    } finally {
      Error.prepareStackTrace = before;
    }
  });

  test("lets a library replace its stack", () => {
    const error = create();
    error.stack = "shorter";
    expect(error.stack).toBe("shorter");
    expect(Object.keys(error)).not.toContain("stack");
  });

  test("shows the hint on Express's error page and in the log that Express prints", async () => {
    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    const app = express().set("env", "development");
    app.get("/", () => {
      throw create();
    });
    const server = app.listen(0);
    await once(server, "listening");
    try {
      const page = await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)).text();
      expect(page).toContain(HINT);
      // Express logs after it has answered.
      await vi.waitFor(() => expect(inspect(log.mock.calls[0])).toContain(HINT));
    } finally {
      server.close();
    }
  });

  test("is printed with its hint once when nobody catches it", async () => {
    const program = `const { SessionError } = await import("./dist/index.js");
      throw new SessionError("timeout", "Late", { hint: "look at " + "Redis", cause: new Error("refused") });`;
    const { code, err } = await runProgram(process.execPath, ["--input-type=module", "--eval", program], {});
    expect(code).toBe(1);
    expect([countOf("look at Redis", err), countOf("[cause]: Error: refused", err)]).toEqual([1, 1]);
  });
});

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

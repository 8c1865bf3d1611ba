import { assert, constantFrom, dictionary, property } from "fast-check";
import { describe, expect, test } from "vitest";
import { differences, withCookieJson } from "../../src/express-session/changes.js";
import { line, parseLines } from "../../src/sessions/session-text.js";

function linesOf(fields: Record<string, string>): string {
  return Object.entries(fields)
    .map(([key, json]) => line(JSON.stringify(key), json))
    .join("");
}

describe("differences", () => {
  test("finds the changes of any two sessions", async () => {
    // Few keys and values, of which some begin or end like others, so that the sessions have much in common.
    const key = constantFrom("a", "b", "ab", "ba", "c");
    const json = constantFrom("1", "11", "12", "21", '"a"', '"b:1"', '"\\n"', "");
    const session = dictionary(key, json);
    await assert(
      property(session, session, (before, now) => {
        const changed = Object.entries(now).filter(([name, value]) => before[name] !== value);
        const removed = Object.keys(before).filter((name) => !(name in now));
        const found = differences(linesOf(before), linesOf(now));
        expect(found.changed.sort()).toEqual(changed.map(([name, value]) => [`"${name}"`, value]).sort());
        expect(found.removed.sort()).toEqual(removed.map((name) => `"${name}"`).sort());
      }),
      { numRuns: 5000 },
    );
  });

  test("are none if express-session shows another age of the cookie by a tick of the clock", () => {
    const before = linesOf({ cookie: '{"m":60000,"e":1}', a: "1" });
    expect(differences(before, linesOf({ cookie: '{"m":59999,"e":1}', a: "1" }))).toEqual({ changed: [], removed: [] });
    const changed = differences(before, linesOf({ cookie: '{"m":30000,"e":1}', a: "1" }));
    expect(changed).toEqual({ changed: [['"cookie"', '{"m":30000,"e":1}']], removed: [] });
  });
});

describe("withCookieJson", () => {
  const lines = linesOf({ cookie: '{"m":1}', a: "1" });

  test("replaces, adds and removes the cookie", () => {
    expect(parseLines(withCookieJson(lines, '{"m":2}')).get('"cookie"')).toBe('{"m":2}');
    expect(withCookieJson(lines, undefined)).toBe(linesOf({ a: "1" }));
    expect(parseLines(withCookieJson(linesOf({ a: "1" }), '{"m":2}')).size).toBe(2);
  });
});

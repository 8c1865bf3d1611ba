import { describe, expect, test } from "vitest";
import { encodeHeader, StoredSession } from "../../src/sessions/session-text.js";

function parse(text: string): StoredSession {
  return StoredSession.parse(text, "ref") as StoredSession;
}

describe("flags with a value", () => {
  test("are read as they were written, whatever characters they contain", () => {
    const value = 'a no_resave b=c until 5 "\\\n%20é';
    const stored = parse(
      encodeHeader(1, 60, { no_resave: true, flags: { first: value, absent: undefined, second: 7 } }),
    );
    expect(stored.flag("first")).toBe(value);
    expect(stored.flag("second")).toBe("7");
    expect(stored.flag("absent")).toBeUndefined();
    expect(stored.no_resave).toBe(true);
    expect(stored.ttl).toBe(60);
  });

  test("cannot be taken for another flag", () => {
    const stored = parse(encodeHeader(1, 60, { flags: { first: "no_resave second=1" } }));
    expect(stored.no_resave).toBe(false);
    expect(stored.flag("second")).toBeUndefined();
  });

  test("stand in line 4, before the moment that absolute adds", () => {
    const [, , , line4] = encodeHeader(1, 60, { flags: { first: "a b" } }).split("\n");
    expect(line4).toBe("60 first=a%20b");
    expect(parse(`1\n1\n1\n${line4} until 5\n1\n\n\n`).flag("first")).toBe("a b");
  });
});

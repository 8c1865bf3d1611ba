import { describe, expect, test } from "vitest";
import { set, update } from "../../src/lua/index.js";
import { changes, INDEX, plant, useScripts } from "../support/scripts.js";
import { readFields } from "../support/session-text.js";

const t = useScripts();

/** The scripts that merge changes into a session's data. */
const MERGING = [
  ["set", (lines: string) => t.runOne(set, [...INDEX, "ref"], [10_000_000, 100_000, "ref", 1000, lines])],
  ["update", (lines: string) => t.runOne(update, [...INDEX, "ref"], [10_000_000, 100_000, "ref", "", 1000, "", lines])],
] as const;

/** Reads the data lines, which follow the eight header lines. */
async function readData(): Promise<string> {
  return String(await t.db.get("ref"))
    .split("\n")
    .slice(8)
    .map((line) => `\n${line}`)
    .join("");
}

const NAMES = Array.from({ length: 5000 }, (_, i) => `"k${i}"`);

/** Data that does not change. */
const BULK = [
  ["in a small session", {}],
  ["in a large session", { '"bulk"': `"${"x".repeat(200_000)}"` }],
] as [string, Record<string, string>][];

describe.each(MERGING)("%s", (_name, merge) => {
  describe.each(BULK)("%s", (_where, bulk) => {
    test.each([
      ["adds keys to empty data", {}, [['"a"', "1", '"b"', "2"]], '\n"a":1\n"b":2'],
      ["changes nothing for no changes", { '"a"': "1" }, [[]], '\n"a":1'],
      ["removes the only key", { '"a"': "1" }, [[], ['"a"']], ""],
      ["ignores the removal of a missing key", { '"a"': "1" }, [[], ['"b"']], '\n"a":1'],
      [
        "sets, adds and removes in one call",
        { '"a"': "1", '"b"': "2", '"c"': "3", '"d"': "4" },
        [
          ['"b"', "9", '"e"', "5"],
          ['"a"', '"d"'],
        ],
        '\n"b":9\n"c":3\n"e":5',
      ],
      [
        "sets an empty string without removing the key",
        { '"a"': "1" },
        [['"a"', '""', '"b"', '""']],
        '\n"a":""\n"b":""',
      ],
      ["sets an empty key", { '""': "1", '"a"': "2" }, [['""', "3"]], '\n"":3\n"a":2'],
      ["removes only the empty key", { '""': "1", '"a"': "2" }, [[], ['""']], '\n"a":2'],
      [
        "distinguishes keys with an escaped quotation mark or backslash",
        { '"a\\u0022"': "1", '"a"': "2", '"a\\u005c"': "3", '"\\u0022:b"': "4" },
        [['"a\\u0022"', "9", '"\\u0022:b"', "8"], ['"a"']],
        '\n"a\\u0022":9\n"a\\u005c":3\n"\\u0022:b":8',
      ],
      [
        "removes a key that contains a quotation mark",
        { '"a\\u0022:\\u0022"': "1", '"a"': "2" },
        [[], ['"a\\u0022:\\u0022"']],
        '\n"a":2',
      ],
      [
        "does not mistake a value for the line of a key",
        { '"note"': '"\\"visits\\""', '"line"': '"\\"visits\\":7"', '"feed"': '"\\n\\"visits\\":8"', '"visits"': "1" },
        [['"visits"', "2"]],
        '\n"note":"\\"visits\\""\n"line":"\\"visits\\":7"\n"feed":"\\n\\"visits\\":8"\n"visits":2',
      ],
      [
        "does not remove a part of a value that looks like the key",
        { '"note"': '"\\"visits\\":"', '"visits"': "1", '"object"': '{"visits":3}' },
        [[], ['"visits"']],
        '\n"note":"\\"visits\\":"\n"object":{"visits":3}',
      ],
      [
        "does not mistake a new value for the line of a key",
        { '"visits"': "1" },
        [['"note"', '"\\n\\"visits\\":"', '"other"', '"\\"visits\\":5"']],
        '\n"visits":1\n"note":"\\n\\"visits\\":"\n"other":"\\"visits\\":5"',
      ],
      [
        "distinguishes a key from its prefixes and suffixes",
        { '"ab"': "1", '"b"': "2", '"abc"': "3" },
        [['"b"', "9"], ['"ab"']],
        '\n"b":9\n"abc":3',
      ],
      [
        "does not interpret the special characters of patterns",
        { '"a.c"': "1", '"abc"': "2", '"%d"': '"%1"', '"5"': "3" },
        [['"a.c"', '"%1%%"'], ['"%d"']],
        '\n"a.c":"%1%%"\n"abc":2\n"5":3',
      ],
      ["merges keys that are named like header fields", { '"id"': '"x"' }, [['"la"', "5"]], '\n"id":"x"\n"la":5'],
      ["merges multibyte characters", { '"딸기"': '"🍓"' }, [['"🍓"', '"딸기"']], '\n"딸기":"🍓"\n"🍓":"딸기"'],
    ] as [string, Record<string, string>, [string[], string[]?], string][])(
      "%s",
      async (_what, data, change, expected) => {
        await plant(t.db, { ref: "ref", device: '"phone"', ...bulk, ...data });
        const { w, ...own } = Object.fromEntries(
          Object.entries(await readFields(t.db, "ref")).filter(([name]) => !name.startsWith('"')),
        );
        await merge(changes(...change));
        const unchanged = changes(Object.entries(bulk).flat());
        const merged = await readData();
        expect(merged.startsWith(unchanged)).toBe(true);
        expect(merged.slice(unchanged.length)).toBe(expected);
        expect(await readFields(t.db, "ref")).toMatchObject(own);
      },
    );
  });

  test("sets, adds and removes hundreds of keys of thousands in one call", async () => {
    await plant(t.db, { ref: "ref", ...Object.fromEntries(NAMES.map((name, i) => [name, i])) });
    const [set, removed, added] = [NAMES.slice(0, 200), NAMES.slice(4800), ['"new1"', '"new2"']];
    await merge(
      changes(
        [...set, ...added].flatMap((name) => [name, '"x"']),
        removed,
      ),
    );
    const expected = NAMES.slice(0, 4800).flatMap((name, i) => [name, i < 200 ? '"x"' : i]);
    expect(await readData()).toBe(changes([...expected, ...added.flatMap((name) => [name, '"x"'])]));
  });

  test.each([
    ["more changes than the maximum", NAMES.slice(0, 501)],
    ["keys in the reverse order of the text, which would be searched many times", NAMES.slice(-90).reverse()],
  ])("replies -3 and changes nothing for %s", async (_what, names) => {
    await plant(t.db, { ref: "ref", ...Object.fromEntries(NAMES.map((name, i) => [name, i])) });
    const before = await readData();
    expect(await merge(changes(names.flatMap((name) => [name, '"x"'])))).toBe(-3);
    expect(await readData()).toBe(before);
  });

  test("replies -3 and changes nothing for a session of more than 256 KiB", async () => {
    await plant(t.db, { ref: "ref", '"big"': `"${"x".repeat(270_000)}"` });
    const before = await readData();
    expect(await merge(changes(['"a"', "1"]))).toBe(-3);
    expect(await readData()).toBe(before);
  });

  test("accepts new data after all data was removed", async () => {
    await plant(t.db, { ref: "ref", '"a"': "1" });
    await merge(changes([], ['"a"']));
    await merge(changes(['"b"', "2"]));
    expect(await readFields(t.db, "ref")).toMatchObject({ id: '"alice"', ip: '"::1"', w: "3", '"b"': "2" });
    expect(await readData()).toBe('\n"b":2');
  });
});

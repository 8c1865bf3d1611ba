import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as scripts from "../../src/lua/index.js";
import type { Script } from "../../src/redis/script.js";
import { useScripts } from "../support/scripts.js";

const t = useScripts();
const plain: Script[] = Object.values(scripts);
const all: Script[] = plain.flatMap((script) => {
  const { announcing } = script;
  return announcing === undefined ? [script] : [script, announcing];
});

/** A key of a script: `KEYS[1]`, `KEYS[5 + i]`. */
const KEY = /^KEYS\[(\d+ \+ )?(\d+|i|from)\]$/;

/** The variables that a script assigns: `local a, b = KEYS[1], KEYS[2]` assigns a and b. */
function assignments(source: string): { name: string; value: string; isNew: boolean }[] {
  return [...source.matchAll(/(\blocal )?\b((?:\w+, )*\w+) = (.+)/g)].flatMap(([, local, left = "", right = ""]) => {
    const values = right.split(", ");
    return left.split(", ").map((name, i) => ({ name, value: values[i] ?? "", isNew: local !== undefined }));
  });
}

/** The names of a script's variables for keys. */
function keyNames(source: string): string[] {
  return assignments(source).flatMap(({ name, value }) => (KEY.test(value) ? [name] : []));
}

/** The arguments that commands take as keys. For a list that is unpacked these are the values in the list. */
function keyArguments(source: string): string[] {
  return [...source.matchAll(/redis\.p?call\('(\w+)'(?:, ([^)]+))?/g)].flatMap(([, command = "", rest = ""]) => {
    const args = rest.split(", ").flatMap((arg) => listed(source, /^unpack\((\w+)$/.exec(arg)?.[1]) ?? arg);
    if (["TIME", "PUBLISH", "SPUBLISH"].includes(command)) return [];
    if (command === "RENAME") return args.slice(0, 2);
    if (args[0] === "unpack(KEYS") return ["KEYS[1]"];
    return ["DEL", "EXISTS"].includes(command) ? args : args.slice(0, 1);
  });
}

/** The values that a script appends to a list; undefined if there are none. */
function listed(source: string, list: string | undefined): string[] | undefined {
  const parts = assignments(source.replaceAll(/(\w+)\[#\1 \+ 1\] = /g, "$1_ = ")).filter(
    ({ name }) => name === `${list}_`,
  );
  return parts.length > 0 ? parts.map(({ value }) => value) : undefined;
}

/** The values of the lists that a loop iterates with a variable named like a key. */
function loopedKeys(source: string, names: readonly string[]): string[] {
  return [...source.matchAll(/\bfor (\w+)(?:, (\w+))? (?:=|in)(?: ipairs\((\w+)\))?/g)].flatMap(
    ([loop, first = "", second = "", list]) => {
      if (names.includes(first)) return [loop];
      return names.includes(second) ? (listed(source, list) ?? [loop]) : [];
    },
  );
}

/** The arguments that functions of a script receive for a parameter named like a key. */
function passedKeys(source: string, names: readonly string[]): string[] {
  return [...source.matchAll(/function (\w+)\(([^)]*)\)/g)].flatMap(([, called = "", parameters = ""]) =>
    parameters.split(", ").flatMap((parameter, i) => {
      if (!names.includes(parameter)) return [];
      const calls = source.matchAll(new RegExp(`(?<!function )\\b${called}\\(([^)]*)`, "g"));
      return [...calls].map(([, args = ""]) => args.split(", ")[i] ?? "");
    }),
  );
}

function titleOf(script: Script): string {
  return plain.includes(script) ? script.name : `${script.name}, the announcing variant`;
}

test("embeds every .lua file under its name", () => {
  const files = readdirSync(new URL("../../src/lua/", import.meta.url)).filter((file) => file.endsWith(".lua"));
  expect(plain.map(({ name }) => `${name}.lua`).sort()).toEqual(files.sort());
});

describe.each(all.map((script) => [titleOf(script), script] as const))("%s", (_title, script) => {
  test("has the digest under which Redis loads it", async () => {
    expect(await t.db.script("LOAD", script.source)).toBe(script.sha);
  });

  test("has a header with purpose, keys, arguments and replies", () => {
    const header = readFileSync(new URL(`../../src/lua/${script.name}.lua`, import.meta.url), "utf8").split("\n\n")[0];
    expect(header).toMatch(/^-- [A-Z].+\n--\n-- KEYS {3}.+\n-- ARGV {3}.+\n-- Reply {2}/s);
  });

  test("includes no file a second time, which would add nothing", () => {
    const text = readFileSync(new URL(`../../src/lua/${script.name}.lua`, import.meta.url), "utf8");
    const included = [...text.matchAll(/--@include (\S+)/g)].map(([, file]) => file);
    expect(included).toEqual([...new Set(included)]);
  });

  test("passes only keys of KEYS to commands", () => {
    const { source } = script;
    const keys = keyArguments(source);
    const names = keyNames(source);
    expect(keys.length).toBeGreaterThan(0);
    for (const key of [...keys, ...passedKeys(source, names), ...loopedKeys(source, names)])
      expect([...names, "KEYS[1]"]).toContain(key);
    // A variable for a key is never used for anything else, and KEYS is never changed.
    for (const { name, value, isNew } of assignments(source).filter(({ name }) => [...names, "KEYS"].includes(name)))
      expect({ name, value, isNew }).toEqual({ name, value: expect.stringMatching(KEY), isNew: true });
    expect(source).not.toMatch(/KEYS\[[^\]]*\] = /);
  });

  test("calls only plain commands on keys", () => {
    const commands = [...script.source.matchAll(/\bredis\b(?:\.(\w+)\(('\w+')?)?/g)].map(([, via, command]) => [
      via,
      command,
    ]);
    for (const [via, command] of commands) {
      expect(via).toMatch(/^p?call$/);
      expect(command).toMatch(
        /^'(GET|MGET|SET|GETRANGE|SETRANGE|H(SET|GET|MGET|DEL)|Z\w+|PEXPIRE|PERSIST|PTTL|STRLEN|DEL|EXISTS|RENAME|TIME|XADD|S?PUBLISH)'$/,
      );
    }
  });
});

test("stops the Redis user of these tests at a key that is not declared", async () => {
  const trespass = { name: "trespass", sha: "", source: "return redis.call('HGET', ARGV[1], 'id')" };
  await expect(t.run(trespass, ["mine"], ["yours"])).rejects.toThrow(/can't access|no permissions|NOPERM/i);
  expect(await t.run(trespass, ["mine"], ["mine"])).toBeNull();
});

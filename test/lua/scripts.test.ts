import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Script } from "../../src/engine/script.js";
import * as scripts from "../../src/lua/index.js";
import { useScripts } from "../support/scripts.js";

const t = useScripts();
const all: Script[] = Object.values(scripts);

/** The names that a script gives to keys: `local a, b = KEYS[1], KEYS[2]` and `local all = { unpack(KEYS) }`. */
function keyNames(source: string): string[] {
  const names: string[] = [];
  for (const [, left = "", right = ""] of source.matchAll(/local ([\w, ]+) = (.+)/g)) {
    const values = right.split(", ");
    left.split(", ").forEach((name, i) => {
      if (values[i]?.startsWith("KEYS[")) names.push(name);
      if (values[i] === "{ unpack(KEYS) }") names.push(`${name}[i]`);
    });
  }
  return names;
}

/** The arguments that `redis.call` takes for keys. */
function keyArguments(source: string): string[] {
  return [...source.matchAll(/redis\.call\('(\w+)'(?:, ([^,)]+))?(?:, ([^,)]+))?/g)].flatMap(
    ([, command = "", first = "", second = ""]) => {
      if (command === "TIME") return [];
      return command === "RENAME" ? [first, second] : [first];
    },
  );
}

test("every .lua file is embedded, under its name", () => {
  const files = readdirSync(new URL("../../src/lua/", import.meta.url)).filter((file) => file.endsWith(".lua"));
  expect(all.map(({ name }) => `${name}.lua`).sort()).toEqual(files.sort());
});

describe.each(all.map((script) => [script.name, script] as const))("%s", (name, script) => {
  test("has the digest under which Redis loads it", async () => {
    expect(await t.db.script("LOAD", script.source)).toBe(script.sha);
  });

  test("says on top what it is for, what it takes and what it replies", () => {
    const header = readFileSync(new URL(`../../src/lua/${name}.lua`, import.meta.url), "utf8").split("\n\n")[0];
    expect(header).toMatch(/^-- [A-Z].+\n--\n-- KEYS {3}.+\n-- ARGV {3}.+\n-- Reply {2}/s);
  });

  test("builds no key name: each key of a command is one that KEYS gave", () => {
    const { source } = script;
    const keys = keyArguments(source);
    const names = [...keyNames(source), "KEYS[1]"];
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) expect(names).toContain(key);
    for (const key of names)
      expect(source).not.toMatch(new RegExp(`^ *${key.replace(/\W/g, "\\$&")} = (?!table)`, "m"));
  });

  test("calls nothing but plain commands on keys", () => {
    const commands = [...script.source.matchAll(/redis\.(\w+)\(('\w+')?/g)].map(([, via, command]) => [via, command]);
    for (const [via, command] of commands) {
      expect(via).toMatch(/^p?call$/);
      expect(command).toMatch(
        /^'(H(SET|GET|DEL|GETALL|MGET|EXISTS|INCRBY)|Z\w+|PEXPIRE|PERSIST|PTTL|DEL|EXISTS|RENAME|TIME)'$/,
      );
    }
  });
});

test("the user who runs the scripts in these tests is stopped at a key that is not declared", async () => {
  const trespass = { name: "trespass", sha: "", source: "return redis.call('HGET', ARGV[1], 'id')" };
  await expect(t.run(trespass, ["mine"], ["yours"])).rejects.toThrow(/can't access|no permissions|NOPERM/i);
  expect(await t.run(trespass, ["mine"], ["mine"])).toBeNull();
});

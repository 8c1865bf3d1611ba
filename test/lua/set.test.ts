import { expect, test } from "vitest";
import { set } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { INDEX, plant, useScripts } from "../support/scripts.js";

const t = useScripts();

function run(ref: string, now: number, write: string[], remove: string[] = []) {
  return t.run(set, [...INDEX, ref], [ref, now, write.length, ...write, ...remove]);
}

function fields(reply: unknown): Record<string, string> {
  const lines = String(reply).split("\n");
  return Object.fromEntries(lines.flatMap((name, i) => (i % 2 === 0 ? [[name, `${lines[i + 1]}`]] : [])));
}

test("replies the fields and values as they are now", async () => {
  await plant(t.db, { ref: "ref", '"old"': "1", '"gone"': "2", '"kept"': "3" });
  const reply = await run("ref", 1000, ['"old"', "9", '"new"', '"x"'], ['"gone"', '"never"']);
  expect(fields(reply)).toEqual(await t.db.hgetall("ref"));
  expect(fields(reply)).toMatchObject({ '"old"': "9", '"new"': '"x"', '"kept"': "3", w: "2", r: "1" });
  expect(fields(reply)).not.toHaveProperty('"gone"');
});

test("replies nil when there is no session, and leaves no ghost", async () => {
  expect(await run("ref", 9000, ['"a"', "1"], ['"b"'])).toBeNull();
  expect(await t.db.dbsize()).toBe(0);
});

test("replies where a rotated session went, and writes nothing", async () => {
  await t.db.hset("ref", "to", "new");
  expect(await run("ref", 9000, ['"a"', "1"])).toBe("to\nnew");
  expect(await dump(t.db)).toEqual({ ref: { to: "new" } });
});

test("prolongs the session and notes its use, once a second", async () => {
  await plant(t.db, { ref: "ref" });
  await t.db.pexpire("ref", 50_000);
  await run("ref", 1999, ['"a"', "1"]);
  expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
  expect(fields(await run("ref", 2000, ['"a"', "2"]))).toMatchObject({ la: "2000" });
  expect(await t.db.pttl("ref")).toBeGreaterThan(95_000);
  expect(await t.db.zscore("active", "ref")).toBe("2000");
  expect(await t.db.zscore("users", '"alice"')).toBe("2000");
});

test("does not prolong a no_resave session", async () => {
  await plant(t.db, { ref: "ref", no_resave: 1 });
  await t.db.pexpire("ref", 50_000);
  await run("ref", 9000, ['"a"', "1"]);
  expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
});

test("writes and removes more fields than Lua can unpack at once", async () => {
  await plant(t.db, { ref: "ref" });
  const names = Array.from({ length: 9000 }, (_, i) => `"k${i}"`);
  await run(
    "ref",
    1000,
    names.flatMap((name, i) => [name, `${i}`]),
  );
  expect(await t.db.hlen("ref")).toBe(9007);
  expect(await t.db.hget("ref", '"k8999"')).toBe("8999");
  await run("ref", 1000, [], names);
  expect(await t.db.hlen("ref")).toBe(7);
});

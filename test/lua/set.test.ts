import { expect, test } from "vitest";
import { set } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { dumpMixed, HUNDRED, INDEX, lines, MIXED, plant, plantMixed, useScripts } from "../support/scripts.js";

const t = useScripts();

type Change = [ref: string, now: number, write: string[], remove?: string[]];

function argsOf([ref, now, write, remove = []]: Change) {
  return [ref, now, lines(write), lines(remove)];
}

function run(...change: Change) {
  return t.runOne(set, [...INDEX, change[0]], argsOf(change));
}

async function runAll(...changes: Change[]) {
  return (await t.run(set, [...INDEX, ...changes.map(([ref]) => ref)], changes.flatMap(argsOf))) as unknown[];
}

function fields(reply: unknown): Record<string, string> {
  const parts = String(reply).split("\n");
  return Object.fromEntries(parts.flatMap((name, i) => (i % 2 === 0 ? [[name, `${parts[i + 1]}`]] : [])));
}

test("replies the fields and values as they are now", async () => {
  await plant(t.db, { ref: "ref", '"old"': "1", '"gone"': "2", '"kept"': "3" });
  const reply = await run("ref", 1000, ['"old"', "9", '"new"', '"x"'], ['"gone"', '"never"']);
  expect(fields(reply)).toEqual(await t.db.hgetall("ref"));
  expect(fields(reply)).toMatchObject({ '"old"': "9", '"new"': '"x"', '"kept"': "3", w: "2", r: "1" });
  expect(fields(reply)).not.toHaveProperty('"gone"');
});

test("replies an empty string when there is no session, and leaves no ghost", async () => {
  expect(await run("ref", 9000, ['"a"', "1"], ['"b"'])).toBe("");
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

test("replies for each session of a run, in order, and changes each as it is to be", async () => {
  await plantMixed(t.db);
  const [first, last] = [await t.db.hgetall("first"), await t.db.hgetall("last")];
  const changes = MIXED.map((ref, i): Change => [ref, 1500, [`"k${i}"`, `${i}`]]);
  changes[0] = ["first", 1500, ['"cart"', "9", '"a"', "1"]];
  changes[4] = ["last", 8000, ['"b"', "2"], ['"cart"', '"never"']];
  const replies = await runAll(...changes);

  const { '"cart"': _cart, ...kept } = last;
  expect(fields(replies[0])).toEqual({ ...first, '"cart"': "9", '"a"': "1", w: "2" });
  expect(replies.slice(1, 4)).toEqual(["", "to\nnew", expect.any(Error)]);
  expect(replies).toHaveProperty("3.message", expect.stringMatching(/^WRONGTYPE /));
  expect(fields(replies[4])).toEqual({ ...kept, '"b"': "2", w: "2", la: "8000" });
  expect(await dumpMixed(t.db)).toEqual({
    first: fields(replies[0]),
    last: fields(replies[4]),
    active: { first: "1000", last: "8000" },
    users: { '"alice"': "1000", '"bob"': "8000" },
    owners: { '"alice"first': "0", '"bob"last': "0" },
    expiry: { '"alice"first': "5000000000000", '"bob"last': "5000000000000" },
  });
});

test("a session that comes twice in a run is changed twice, one after the other", async () => {
  await plant(t.db, { ref: "ref" });
  const replies = await runAll(["ref", 1000, ['"a"', "1", '"b"', "1"]], ["ref", 1000, ['"b"', "2"], ['"a"']]);
  expect(fields(replies[0])).toMatchObject({ '"a"': "1", '"b"': "1", w: "2" });
  expect(fields(replies[1])).toMatchObject({ '"b"': "2", w: "3" });
  expect(fields(replies[1])).not.toHaveProperty('"a"');
});

test("takes 100 sessions in a run", async () => {
  for (const ref of HUNDRED) await plant(t.db, { ref, '"old"': "1" });
  const replies = await runAll(...HUNDRED.map((ref, i): Change => [ref, 9000 + i, ['"n"', `${i}`], ['"old"']]));
  const sessions = await Promise.all(HUNDRED.map((ref) => t.db.hgetall(ref)));
  expect(replies.map(fields)).toEqual(sessions);
  for (const [i, session] of sessions.entries()) {
    expect(session).toMatchObject({ '"n"': `${i}`, w: "2", la: `${9000 + i}` });
    expect(session).not.toHaveProperty('"old"');
  }
});

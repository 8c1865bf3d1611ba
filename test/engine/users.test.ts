import { expect, test } from "vitest";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";

const t = useEngine();
const app = "webapp";

/** Ids that are easily confused in an index, or hard to write as JSON. */
const IDS = [
  "a",
  "ab",
  'a"',
  '"a"',
  'a\\"',
  "a\\",
  "a\n",
  "\n",
  "\r\n",
  "\0",
  " ",
  "tenant:u9",
  "tenant:u",
  "tenant:*",
  "{other}",
  "딸기",
  "딸",
  "🍓",
  "\u{10ffff}",
  "a\u{10ffff}",
  "\u{10ffff}\u{10ffff}",
  "\uffff",
  "alice@example.com",
  "Alice@example.com",
  "__proto__",
  "null",
  "0",
  "+inf",
  "[a",
  "(a",
  "-",
  "+",
  "to\nx",
  "x".repeat(128),
  "x".repeat(127),
  "딸".repeat(128),
  "\0".repeat(128),
  '"'.repeat(128),
];

test("keeps the sessions of users with similar ids apart", async () => {
  const refs = new Map<string, string[]>();
  for (const id of [...IDS, ...IDS]) {
    const { ref, token } = await t.create({ id });
    refs.set(id, [...(refs.get(id) ?? []), ref]);
    expect((await t.rs.get({ app, token }))?.id).toBe(id);
  }
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: IDS.length });
  for (const id of IDS) {
    const { sessions } = await t.rs.soid({ app, id });
    expect(sessions.map((session) => session.ref).sort()).toEqual(refs.get(id)?.sort());
    expect(sessions.map((session) => session.id)).toEqual([id, id]);
  }
});

test("killsoid ends the sessions of exactly that user", async () => {
  for (const id of IDS) await t.create({ id });
  for (const [i, id] of IDS.entries()) {
    expect(await t.rs.killsoid({ app, id })).toEqual({ kill: 1 });
    expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: IDS.length - i - 1 });
    expect((await t.rs.soapp({ app, dt: 60 })).sessions.map((session) => session.id).sort()).toEqual(
      IDS.slice(i + 1).sort(),
    );
  }
  expect((await readStored(t.db, app)).entries).toBe(0);
});

test("killall and wipe find the entries of every user", async () => {
  for (const id of IDS) {
    const gone = await t.create({ id });
    await t.create({ id });
    await t.db.del(`rs:{webapp}:s:${gone.ref}`);
    await t.db.zadd("rs:{webapp}:expiry", 1, JSON.stringify(id) + gone.ref);
  }
  expect(await t.rs.wipe()).toEqual({ wiped: IDS.length });
  expect((await readStored(t.db, app)).problems).toEqual([]);
  expect(await t.rs.killall({ app })).toEqual({ kill: IDS.length });
  expect((await readStored(t.db, app)).entries).toBe(0);
});

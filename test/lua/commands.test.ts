import { describe, expect, test } from "vitest";
import { claimExpired, create, kill, killMany, sweep } from "../../src/lua/index.js";
import { HUNDRED, INDEX, plant, useScripts } from "../support/scripts.js";
import { textOf } from "../support/session-text.js";

// Each command costs Redis about a microsecond, so scripts use one with many members where they can.
const t = useScripts();

/** Two sessions for each user. */
const idOf = (i: number) => `"user${i >> 1}"`;

async function plantHundred() {
  for (const [i, ref] of HUNDRED.entries()) await plant(t.db, { ref, id: idOf(i) });
}

function newSession(ref: string, i: number) {
  const text = textOf({ la: Date.now(), r: 1, w: 1, ttl: 100, created: Date.now(), id: idOf(i) });
  return [ref, idOf(i), Date.now(), 100_000, text];
}

/** What the clients of this test call themselves. */
const OF_CLIENTS = ["eval", "hello", "info"];

/** Returns how often a script calls each command. */
async function commandsOf(run: () => Promise<unknown>): Promise<Record<string, number>> {
  await t.db.config("RESETSTAT");
  await run();
  const stats = [...(await t.db.info("commandstats")).matchAll(/^cmdstat_(\w+):calls=(\d+)/gm)];
  const own = stats.filter(([, name = ""]) => !OF_CLIENTS.includes(name));
  return Object.fromEntries(own.map(([, name, calls]) => [name, Number(calls)]));
}

describe("calls no more commands than needed", () => {
  test("create: one session", async () => {
    const run = () => t.run(create, [...INDEX, "ref"], [0, 0, ...newSession("ref", 0)]);
    expect(await commandsOf(run)).toEqual({ time: 1, hget: 1, set: 1, zadd: 3, hset: 1 });
  });

  test("create: a hundred sessions", async () => {
    const run = () => t.run(create, [...INDEX, ...HUNDRED], [0, 0, ...HUNDRED.flatMap(newSession)]);
    expect(await commandsOf(run)).toEqual({ time: 1, hmget: 1, set: 100, zadd: 3, hset: 1 });
  });

  test("kill: one session", async () => {
    await plant(t.db, { ref: "ref" });
    const run = () => t.run(kill, [...INDEX, "ref"], [0, "ref"]);
    expect(await commandsOf(run)).toEqual({ getrange: 1, del: 1, hget: 1, hdel: 1, zrem: 3 });
  });

  test.each([
    ["much data", { '"text"': JSON.stringify("x".repeat(100_000)) }, 1],
    ["a header of more than 512 bytes", { device: JSON.stringify("x".repeat(500)) }, 2],
  ])("kill: a session with %s", async (_what, fields, getrange) => {
    await plant(t.db, { ref: "ref", ...fields });
    const run = () => t.run(kill, [...INDEX, "ref"], [0, "ref"]);
    expect(await commandsOf(run)).toEqual({ getrange, del: 1, hget: 1, hdel: 1, zrem: 3 });
    expect(await t.db.dbsize()).toBe(0);
  });

  test("kill-many: a hundred sessions", async () => {
    await plantHundred();
    const users = HUNDRED.flatMap((ref, i) => (i % 2 === 0 ? [idOf(i), 2, ref] : [ref]));
    const run = () => t.run(killMany, [...INDEX, "active", ...HUNDRED], [0, ...users]);
    expect(await commandsOf(run)).toEqual({ getrange: 100, del: 1, hmget: 1, hdel: 1, zrem: 3 });
  });

  test("claim-expired: a hundred entries", async () => {
    for (const ref of HUNDRED) await t.db.zadd("expiry", 1, ref);
    const run = () => t.run(claimExpired, ["expiry"], [30_000, 100]);
    expect(await commandsOf(run)).toEqual({ time: 1, zrangebyscore: 1, zrem: 1, zadd: 1 });
  });

  test("sweep: a hundred sessions that have expired", async () => {
    await plantHundred();
    await t.db.del(...HUNDRED);
    const run = () =>
      t.run(
        sweep,
        [...INDEX, ...HUNDRED],
        HUNDRED.flatMap((ref, i) => [idOf(i), ref]),
      );
    expect(await commandsOf(run)).toEqual({ time: 1, exists: 1, hmget: 1, hdel: 1, zrem: 102 });
  });
});

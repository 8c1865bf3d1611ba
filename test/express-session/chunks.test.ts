import { beforeEach, expect, test } from "vitest";
import type { RedisStore } from "../../src/express-session/index.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();
const COUNT = 1000;
const sids = Array.from({ length: COUNT }, (_, i) => `sid${i}`);

let store: RedisStore;

beforeEach(async () => {
  store = t.store();
  await Promise.all(sids.map((sid) => store.set(sid, withCookie({ sid, userId: "alice" }))));
});

/**
 * Runs a method and checks its commands: none scans, none concerns more sessions than a chunk, and none reads more than
 * a page of the index.
 */
async function inChunks<Result>(work: () => Promise<Result>): Promise<Result> {
  let result: Result | undefined;
  const commands = await t.redis.watch(async () => {
    result = await work();
  });
  for (const [name = "", ...args] of commands) {
    expect(["evalsha", "eval", "mget", "zcard", "hget", "zrangebylex", "zcount", "exists", "get"]).toContain(
      name.toLowerCase(),
    );
    if (/^eval/i.test(name)) expect(Number(args[1])).toBeLessThanOrEqual(110);
    if (/^exists$/i.test(name)) expect(args.length).toBeLessThanOrEqual(500);
    if (/^mget$/i.test(name)) expect(args.length).toBeLessThanOrEqual(100);
    if (/^zrangebylex$/i.test(name)) expect(Number(args.at(-1))).toBeLessThanOrEqual(1010);
  }
  return result as Result;
}

test("length counts a thousand sessions", async () => {
  expect(await inChunks(() => store.length())).toBe(COUNT);
});

test("ids returns a thousand ids, each once", async () => {
  expect((await inChunks(() => store.ids())).sort()).toEqual([...sids].sort());
});

test("all returns a thousand sessions, each once", async () => {
  const all = await inChunks(() => store.all());
  expect(all.map((one) => (one as { sid?: string }).sid).sort()).toEqual([...sids].sort());
});

test("clear ends a thousand sessions", async () => {
  await inChunks(() => store.clear());
  expect(await store.length()).toBe(0);
  expect(await store.get("sid500")).toBeNull();
  expect(await store.activity(60)).toEqual({ activity: 0 });
});

test("soid lists and killsoid ends a thousand sessions of one user", async () => {
  expect((await inChunks(() => store.soid("alice"))).sessions).toHaveLength(COUNT);
  expect(await inChunks(() => store.killsoid("alice", { except: "sid7" }))).toEqual({ kill: COUNT - 1 });
  expect(await store.ids()).toEqual(["sid7"]);
});

test("soapp returns a thousand sessions in pages", async () => {
  expect((await inChunks(() => store.soapp(60))).sessions).toHaveLength(COUNT);
  expect((await inChunks(() => store.soapp(60, { limit: 250, offset: 900 }))).sessions).toHaveLength(100);
});

test("expired sessions are neither counted nor listed", async () => {
  for (const sid of sids.slice(0, 500)) await t.db.pexpire(`rs:{sess}:s:~${sid}`, 0);
  const due = sids.slice(0, 500).flatMap((sid) => [1, `"alice"~${sid}`]);
  await t.db.zadd("rs:{sess}:expiry", ...due);
  expect(await inChunks(() => store.length())).toBe(500);
  expect(await inChunks(() => store.all())).toHaveLength(500);
  expect(await inChunks(() => store.ids())).toHaveLength(500);
});

test("clear leaves other keys of the same Redis alone", async () => {
  await t.db.mset("sess", "1", "other:key", "2", "rs:{other}:s:x", "3");
  await store.clear();
  expect(await t.db.mget("sess", "other:key", "rs:{other}:s:x")).toEqual(["1", "2", "3"]);
});

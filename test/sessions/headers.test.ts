import type { SessionData } from "express-session";
import { beforeEach, describe, expect, test } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { cursorBefore } from "../../src/sessions/paging.js";
import type { HeaderPage } from "../../src/sessions/session-index.js";
import type { SessionLists } from "../../src/sessions/sessions.js";
import { useEngine } from "../support/engine.js";
import { shardOfRef, tagOf } from "../support/shards.js";

const t = useEngine();
let index: SessionLists;
const ACTIVE = "rs:{webapp}:active";

beforeEach(() => {
  index = internalsOf(t.rs).sessions("webapp").index;
});

/** Creates sessions of the users 0, 1, 2 …, the first of which was used last, `gap` ms after the next one. */
async function createMany(count: number, gap = 1000): Promise<string[]> {
  const refs: string[] = [];
  for (let i = 0; i < count; i++) refs.push((await t.create({ id: i, d: { cart: "x".repeat(5000) } })).ref);
  const now = Date.now();
  await t.db.zadd(ACTIVE, ...refs.flatMap((ref, i) => [now - i * gap, ref]));
  return refs;
}

/** Reads all pages. Returns the ids on each. */
async function pages(limit: number, cursor = ""): Promise<string[][]> {
  const { sessions, next } = await index.activeHeaders(cursor, limit);
  const ids = sessions.map(({ id }) => JSON.parse(id));
  return next === undefined ? [ids] : [ids, ...(await pages(limit, next))];
}

describe("activeHeaders", () => {
  test("returns pages of sessions, last active first, without their data", async () => {
    await createMany(5);
    expect(await pages(2)).toEqual([["0", "1"], ["2", "3"], ["4"]]);
    const { sessions } = await index.activeHeaders("", 5);
    expect(sessions.map((session) => session.isEmpty)).toEqual([true, true, true, true, true]);
  });

  test("continues after a session that was used last at the same ms", async () => {
    await createMany(7, 0);
    const all = await pages(3);
    expect(all.map((ids) => ids.length)).toEqual([3, 3, 1]);
    expect(all.flat().sort()).toEqual(["0", "1", "2", "3", "4", "5", "6"]);
  });

  test("begins with the sessions that were used before a time", async () => {
    const refs = await createMany(4);
    const score = Number(await t.db.zscore(ACTIVE, refs[1] as string));
    expect(await pages(10, cursorBefore(score))).toEqual([["2", "3"]]);
    expect(await pages(10, cursorBefore(score + 1))).toEqual([["1", "2", "3"]]);
  });

  test("replaces entries without a session, and removes them", async () => {
    const refs = await createMany(6);
    await t.db.del(...[1, 2, 4].map((i) => `rs:{webapp}:s:${refs[i]}`));
    expect(await pages(2)).toEqual([["0", "3"], ["5"]]);
    expect(await t.db.zcard(ACTIVE)).toBe(3);
  });

  test("returns a short page if hundreds of entries in a row have no session", async () => {
    const refs = await createMany(30);
    for (const ref of refs) await t.db.del(`rs:{webapp}:s:${ref}`);
    const { sessions, next } = await index.activeHeaders("", 2);
    expect(sessions).toEqual([]);
    expect(next).toMatch(/^\d+ /);
    expect(await t.db.zcard(ACTIVE)).toBe(10);
  });
});

describe("headersOfUser", () => {
  test("returns a part of a user's sessions, newest first, and their number", async () => {
    for (let i = 0; i < 5; i++) await t.create({ device: `Device ${i}`, d: { cart: 1 } });
    await t.create({ id: "bob" });
    const { sessions, total } = await index.headersOfUser('"alice"', { offset: 1, limit: 3 });
    expect(sessions.map(({ device }) => device)).toEqual(['"Device 3"', '"Device 2"', '"Device 1"']);
    expect(sessions[0]?.isEmpty).toBe(true);
    expect(total).toBe(5);
  });

  test("returns nothing for an unknown user", async () => {
    expect(await index.headersOfUser('"bob"', { offset: 0, limit: 3 })).toEqual({ sessions: [], total: 0 });
  });
});

test("countSessions counts the sessions that were active since a time", async () => {
  const refs = await createMany(3);
  expect(await index.countSessions(0)).toBe(3);
  expect(await index.countSessions(Number(await t.db.zscore(ACTIVE, refs[1] as string)))).toBe(2);
});

describe("the headers of an app with several shards", () => {
  const shards = 16;

  test("are listed in the same pages, also of sessions of the same ms and of refs that are not ASCII", async () => {
    const rs = new RedisSessions({ client: t.db, wipe: 0, shards });
    const store = new RedisStore({ rs, app: "webapp" });
    const lists = internalsOf(rs).sessions("webapp").index;
    const refs = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        if (i % 2 === 0)
          return (await rs.create({ app: "webapp", id: `user${i % 7}`, ip: "::1", d: { cart: "tea" } })).ref;
        const sid = `딸기 100%\u{1f600}${i}`;
        await store.set(sid, { cookie: { originalMaxAge: null }, userId: "user1" } as unknown as SessionData);
        return store.ref(sid);
      }),
    );
    const now = Date.now();
    const gone = refs[11] as string;
    for (const [i, ref] of refs.entries()) {
      const base = `rs:{${tagOf("webapp", shardOfRef(ref, shards), shards)}}:`;
      await t.db.zadd(`${base}active`, now - 1000 * Math.floor(i / 10), ref);
      if (ref === gone) await t.db.del(`${base}s:${ref}`);
    }
    for (const limit of [1, 7, 60, 100]) {
      const listed: string[] = [];
      for (let cursor: string | undefined = ""; cursor !== undefined; ) {
        const page: HeaderPage = await lists.activeHeaders(cursor, limit);
        listed.push(...page.sessions.map(({ ref }) => ref));
        cursor = page.next;
      }
      expect(listed).toHaveLength(59);
      // Of the same ms in the order of their bytes, as in one zset.
      for (let i = 0; i < 6; i++) {
        const group = refs.slice(10 * i, 10 * i + 10).filter((ref) => ref !== gone);
        const sorted = group.sort((a, b) => Buffer.compare(Buffer.from(b), Buffer.from(a)));
        const from = i > 1 ? 10 * i - 1 : 10 * i;
        expect(listed.slice(from, from + group.length)).toEqual(sorted);
      }
    }
    expect(await lists.countSessions(0)).toBe(59);
    const { sessions, total } = await lists.headersOfUser('"user1"', { offset: 2, limit: 5 });
    expect(total).toBe(33);
    expect(sessions.map((session) => session.id)).toEqual(Array(5).fill('"user1"'));
    expect(await lists.header(refs[3] as string)).toMatchObject({ ref: refs[3], isEmpty: true });
    expect(await lists.header(gone)).toBeNull();
  });
});

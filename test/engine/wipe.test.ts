import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";

const t = useEngine();
const app = "webapp";

/** Makes sessions end as if their time had come, with the wiper's queue to match. */
async function expire(app: string, refs: string[]): Promise<void> {
  for (const ref of refs) {
    await t.db.del(`rs:{${app}}:s:${ref}`);
    await t.db.zadd(`rs:{${app}}:expiry`, 1, `"alice"${ref}`);
  }
}

test("returns 0 when there is nothing to do", async () => {
  expect(await t.rs.wipe()).toEqual({ wiped: 0 });
  await t.create();
  expect(await t.rs.wipe()).toEqual({ wiped: 0 });
  expect((await readStored(t.db, app)).sessions).toHaveLength(1);
});

test("drops the index entries of expired sessions in every app", async () => {
  const mine = await t.create();
  const { ref } = await t.create();
  const other = await t.create({ app: "other" });
  await expire(app, [mine.ref]);
  await expire("other", [other.ref]);
  expect(await t.rs.wipe()).toEqual({ wiped: 2 });
  expect(await readStored(t.db, app)).toMatchObject({ sessions: [ref], problems: [] });
  expect((await readStored(t.db, "other")).entries).toBe(0);
  expect(await t.rs.wipe()).toEqual({ wiped: 0 });
});

test("wipes the other apps when the keys of one are damaged, and then rejects with its error", async () => {
  const apps = ["one", "two", "three", "four", "five"];
  const refs = await Promise.all(apps.map(async (app) => (await t.create({ app })).ref));
  for (const [i, app] of apps.entries()) await expire(app, [refs[i] as string]);
  const [spoilt, ...others] = await t.db.zrange("rs:apps", "0", "-1");
  await t.db.set(`rs:{${spoilt}}:expiry`, "no zset");
  await expect(t.rs.wipe()).rejects.toMatchObject({
    name: "redisError",
    message: expect.stringContaining("WRONGTYPE"),
  });
  for (const app of others) expect((await readStored(t.db, app)).entries).toBe(0);
});

test("an app that has no session is visited no more a day after its last one was created; any other is", async () => {
  const yesterday = Date.now() - 25 * 3_600_000;
  const apps = ["ended", "expired", "living", "recent"];
  const [, expired] = await Promise.all(apps.map((app) => t.create({ app })));
  for (const app of ["ended", "recent"]) await t.rs.killall({ app });
  await expire("expired", [`${expired?.ref}`]);
  for (const app of ["ended", "expired", "living"]) await t.db.zadd("rs:apps", yesterday, app);
  expect(await t.rs.wipe()).toEqual({ wiped: 1 });
  expect((await t.db.zrange("rs:apps", "0", "-1")).sort()).toEqual(["living", "recent"]);
});

test("an app whose first session in days is created while the wiper takes leave of it stays", async () => {
  await t.db.zadd("rs:apps", 1, app);
  const zcard = t.db.zcard.bind(t.db);
  vi.spyOn(t.db, "zcard").mockImplementation((async (key: string) => {
    const none = await zcard(key);
    await t.create();
    return none;
  }) as typeof zcard);
  await t.rs.wipe();
  vi.restoreAllMocks();
  expect(await t.db.zrange("rs:apps", "0", "-1")).toEqual([app]);
});

test("visits every one of a thousand apps", async () => {
  const apps = Array.from({ length: 1000 }, (_, i) => `app${i}`);
  for (const app of apps) await t.db.zadd("rs:apps", Date.now(), app);
  for (const app of apps) await t.db.zadd(`rs:{${app}}:expiry`, 1, '"alice"ref');
  expect(await t.rs.wipe()).toEqual({ wiped: 1000 });
});

test("sends less than a kilobyte for an app in which nothing has expired", async () => {
  await t.create();
  await t.rs.wipe();
  const commands = await t.redis.watch(() => t.rs.wipe());
  expect(commands.flat().join("").length).toBeLessThan(1000);
});

test("activity does not count a user whose sessions have all expired", async () => {
  const { ref } = await t.create();
  await expire(app, [ref]);
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 1 });
  await t.rs.wipe();
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 0 });
});

test("drops 250 at once", async () => {
  const created = await Promise.all(Array.from({ length: 250 }, () => t.create()));
  await expire(
    app,
    created.map(({ ref }) => ref),
  );
  expect(await t.rs.wipe()).toEqual({ wiped: 250 });
  expect((await readStored(t.db, app)).entries).toBe(0);
});

test("checks a prolonged session again when it ends", async () => {
  const { ref } = await t.create();
  await t.db.zadd("rs:{webapp}:expiry", 1, `"alice"${ref}`);
  expect(await t.rs.wipe()).toEqual({ wiped: 0 });
  const due = Number(await t.db.zscore("rs:{webapp}:expiry", `"alice"${ref}`));
  expect(due).toBeGreaterThan(Date.now() + 7_190_000);
  expect((await readStored(t.db, app)).problems).toEqual([]);
});

test("serves apps that another process created, but not another namespace", async () => {
  const { ref } = await t.create();
  await expire(app, [ref]);
  expect(await new RedisSessions({ client: t.db, wipe: 0, namespace: "other" }).wipe()).toEqual({ wiped: 0 });
  expect(await new RedisSessions({ client: t.db, wipe: 0 }).wipe()).toEqual({ wiped: 1 });
});

describe("the wiper", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
  afterEach(() => void vi.useRealTimers());

  /** Whether a wiper comes by within its 10 seconds. */
  async function comesBy(work: () => unknown): Promise<boolean> {
    const { ref } = await t.create();
    await expire(app, [ref]);
    await work();
    vi.advanceTimersByTime(10_000);
    vi.useRealTimers();
    // Its first command has been sent by now; the others follow on the answers.
    for (let i = 0; i < 20; i++) await t.db.ping();
    return (await readStored(t.db, app)).entries === 0;
  }

  test("runs by itself", async () => {
    expect(await comesBy(() => new RedisSessions({ client: t.db, wipe: 10 }))).toBe(true);
  });

  test("does not run when wipe is 0", async () => {
    expect(await comesBy(() => new RedisSessions({ client: t.db, wipe: 0 }))).toBe(false);
  });

  test("does not run after quit", async () => {
    expect(await comesBy(() => new RedisSessions({ client: t.db, wipe: 10 }).quit())).toBe(false);
  });
});

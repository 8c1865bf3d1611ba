import { inspect } from "node:util";
import { afterEach, expect, test, vi } from "vitest";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";
import { editFields, readFields } from "../support/session-text.js";

const t = useEngine();
const app = "webapp";

afterEach(() => void vi.restoreAllMocks());

async function refs(id = "alice"): Promise<string[]> {
  return (await t.rs.soid({ app, id })).sessions.map(({ ref }) => ref);
}

test("returns an empty list for a user without sessions", async () => {
  expect(await t.rs.soid({ app, id: "nobody" })).toEqual({ sessions: [] });
});

test("returns the user's whole sessions and does not change them", async () => {
  const { ref } = await t.create({ d: { cart: 3 }, ttl: 99 });
  await t.create({ id: "bob" });
  const before = await readFields(t.db, `rs:{webapp}:s:${ref}`);
  expect(await t.rs.soid({ app, id: "alice" })).toEqual({
    sessions: [
      {
        ref,
        id: "alice",
        ip: "127.0.0.1",
        r: 1,
        w: 1,
        ttl: 99,
        idle: 0,
        created: expect.any(Number),
        expires: expect.any(Number),
        authTime: expect.any(Number),
        d: { cart: 3 },
      },
    ],
  });
  expect(await readFields(t.db, `rs:{webapp}:s:${ref}`)).toEqual(before);
});

test("returns the newest first, whichever was used last", async () => {
  const now = Date.now();
  const created = [];
  for (const [i, age] of [3000, 1000, 2000].entries()) {
    vi.spyOn(Date, "now").mockReturnValue(now - age);
    created[i] = await t.create();
  }
  vi.restoreAllMocks();
  const [oldest, newest, middle] = created;
  await t.rs.get({ app, token: `${oldest?.token}` });
  expect(await refs()).toEqual([newest?.ref, middle?.ref, oldest?.ref]);
});

test("returns the newest first, also when they were created in the same millisecond", async () => {
  vi.spyOn(Date, "now").mockReturnValue(Date.now());
  const created: string[] = [];
  for (let i = 0; i < 10; i++) created.unshift((await t.create()).ref);
  expect(await refs()).toEqual(created);
});

test("returns all of 250 sessions, newest first", async () => {
  const now = Date.now();
  const created: string[] = [];
  for (let i = 0; i < 250; i++) {
    vi.spyOn(Date, "now").mockReturnValue(now + i);
    created.unshift((await t.create()).ref);
  }
  expect(await refs()).toEqual(created);
});

test("leaves out a session with damaged data; get fails and does not quote the data", async () => {
  const good = await t.create({ d: { a: 1 } });
  const bad = await t.create({ d: { secret: "x" } });
  await editFields(t.db, `rs:{webapp}:s:${bad.ref}`, { '"secret"': "hunter2" });
  expect(await refs()).toEqual([good.ref]);
  const failure = await t.rs.get({ app, token: bad.token }).catch((error) => error);
  expect(failure).toMatchObject({
    name: "redisError",
    message: "The value at the session's key is not a session",
  });
  expect(failure.cause).toBeUndefined();
});

test("leaves out a session with a damaged user; get fails with a SessionError and quotes nothing", async () => {
  const good = await t.create({ id: "Zoë" });
  const bad = await t.create({ id: "Zoë" });
  await editFields(t.db, `rs:{webapp}:s:${bad.ref}`, { device: '"hunter2\\"x' });
  const { sessions } = await t.rs.soid({ app, id: "Zoë" });
  expect(sessions.map(({ ref }) => ref)).toEqual([good.ref]);
  expect((await t.rs.soapp({ app, dt: 60 })).sessions.map(({ ref }) => ref)).toEqual([good.ref]);
  const failure = await t.rs.get({ app, token: bad.token }).catch((error) => error);
  expect(failure).toMatchObject({ name: "redisError" });
  expect(inspect(failure)).not.toContain("hunter2");
});

test.each([100, 200])("returns all of %i sessions, which fill their chunks", async (count) => {
  await Promise.all(Array.from({ length: count }, () => t.create()));
  expect(new Set(await refs()).size).toBe(count);
});

test("never returns a session that is gone, and drops all its entries", async () => {
  const { ref } = await t.create();
  await t.create({ id: "bob" });
  await t.db.del(`rs:{webapp}:s:${ref}`);
  expect(await refs()).toEqual([]);
  expect((await readStored(t.db, app)).problems).toEqual([]);
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 1 });
});

test("returns the living ones of 250 sessions of which most are gone", async () => {
  const created = await Promise.all(Array.from({ length: 250 }, () => t.create()));
  const living = created.slice(120, 130).map(({ ref }) => ref);
  const gone = created.map(({ ref }) => ref).filter((ref) => !living.includes(ref));
  await t.db.del(...gone.map((ref) => `rs:{webapp}:s:${ref}`));
  expect((await refs()).sort()).toEqual(living.sort());
  expect((await readStored(t.db, app)).problems).toEqual([]);
});

test("returns a rotated session once, under its new ref", async () => {
  const { token } = await t.create();
  const rotated = await t.rs.rotate({ app, token });
  expect(await refs()).toEqual([rotated?.ref]);
});

test("a session of a long list is there once, also when it is rotated after its page was read", async () => {
  const created = await Promise.all(Array.from({ length: 1000 }, () => t.create()));
  const overflow = (await t.db.zrange("rs:{webapp}:user-sessions-overflow", "0", "-1")).map((entry) =>
    entry.slice('"alice"'.length),
  );
  const first = overflow.slice(0, 100);
  const mget = t.db.mget.bind(t.db) as (keys: string[]) => Promise<unknown>;
  let rotated = false;
  vi.spyOn(t.db, "mget").mockImplementation((async (keys: string[]) => {
    const tokens = rotated ? [] : created.filter(({ ref }) => first.includes(ref)).map(({ token }) => token);
    rotated = true;
    await Promise.all(tokens.map((token) => t.rs.rotate({ app: "webapp", token })));
    return mget(keys);
  }) as never);
  const { sessions } = await t.rs.soid({ app: "webapp", id: "alice" });
  vi.restoreAllMocks();
  expect(new Set(sessions.map(({ ref }) => ref)).size).toBe(sessions.length);
});

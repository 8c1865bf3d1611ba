import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { type Created, type CreateOptions, RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";
import { editFields, readFields } from "../support/session-text.js";

const t = useEngine();
const app = "webapp";

const living = async (id = "alice") => (await t.rs.soid({ app, id })).sessions.map(({ ref }) => ref);
const key = (ref: string) => `rs:{webapp}:s:${ref}`;
const ttl = (ref: string) => t.db.pttl(key(ref));

/** Makes a session expire, which leaves its index entries. */
const expire = (ref: string) => t.db.pexpire(key(ref), 0);

async function soundly(): Promise<void> {
  expect((await readStored(t.db, app)).problems).toEqual([]);
}

describe('overflow "idle"', () => {
  test("ends the session that was not used for the longest time, not the oldest", async () => {
    const refs: string[] = [];
    for (const idle of [50, 200, 100]) {
      const { ref } = await t.create();
      refs.push(ref);
      await editFields(t.db, key(ref), { la: { add: -idle * 1000 } });
      await sleep(2);
    }
    const [first = "", second = "", third = ""] = refs;
    const fourth = await t.create({ maxPerUser: 3, overflow: "idle" });
    expect(await living()).toEqual([fourth.ref, third, first]);
    // A use counts, a read without a touch does not.
    await t.rs.get({ app, ref: third });
    await t.rs.get({ app, ref: first, touch: false });
    const fifth = await t.create({ maxPerUser: 3, overflow: "idle" });
    expect(await living()).toEqual([fifth.ref, fourth.ref, third]);
    expect(await t.rs.get({ app, ref: second })).toBeNull();
    await soundly();
  });

  test("ends the replaced session first, and then counts the others", async () => {
    const kept = await t.create();
    const replaced = await t.create();
    const { ref } = await t.create({ maxPerUser: 2, overflow: "idle", replaces: replaced.token });
    expect(await living()).toEqual([ref, kept.ref]);
  });

  test("finds the longest resting among more sessions than a user's field holds", async () => {
    const created = await Promise.all(Array.from({ length: 250 }, () => t.create()));
    const used = created[3] as Created;
    await Promise.all(created.map(({ ref }, i) => editFields(t.db, key(ref), { la: { add: -1000 * (i + 1) } })));
    await t.rs.get({ app, token: used.token });
    const { ref } = await t.create({ maxPerUser: 3, overflow: "idle" });
    expect((await living()).sort()).toEqual([ref, used.ref, created[0]?.ref].sort());
    await soundly();
  });
});

describe.each([1, 2, 5])("maxPerUser: %i", (maxPerUser) => {
  test("ends the oldest sessions, one after the other", async () => {
    const refs: string[] = [];
    for (let i = 0; i < maxPerUser + 3; i++) {
      refs.unshift((await t.create({ maxPerUser })).ref);
      // Sessions of one millisecond have no order by age.
      await sleep(2);
      expect(await living()).toEqual(refs.slice(0, maxPerUser));
    }
    await soundly();
  });

  test('overflow "reject" refuses the session, writes nothing, and accepts one as soon as there is room', async () => {
    const limits = { maxPerUser, overflow: "reject" } as const;
    for (let i = 0; i < maxPerUser; i++) await t.create(limits);
    const before = await living();
    await expect(t.create(limits)).rejects.toMatchObject({
      name: "tooManySessions",
      code: "ERR_TOO_MANY_SESSIONS",
      message: `The user has as many sessions as maxPerUser allows: ${maxPerUser}`,
    });
    expect(await living()).toEqual(before);
    await t.rs.kill({ app, ref: `${before[0]}` });
    const { ref } = await t.create(limits);
    expect(await living()).toContain(ref);
    await soundly();
  });

  test.each(["oldest", "idle", "reject"] as const)(
    "10 sign-ins at once never leave more, with overflow %s",
    async (overflow) => {
      for (let round = 0; round < 50; round++) {
        const id = `user${round}`;
        const logins = Array.from({ length: 10 }, () => t.create({ id, maxPerUser, overflow }));
        const settled = await Promise.allSettled(logins);
        const created = settled.flatMap((one) => (one.status === "fulfilled" ? one.value.ref : []));
        const refs = await living(id);
        expect(refs).toHaveLength(maxPerUser);
        for (const ref of refs) expect(created).toContain(ref);
        expect(created).toHaveLength(overflow === "reject" ? maxPerUser : 10);
        for (const one of settled) {
          if (one.status === "rejected") expect(one.reason).toMatchObject({ name: "tooManySessions" });
        }
      }
      await soundly();
    },
  );

  test.each(["oldest", "reject"] as const)(
    "sessions that have expired do not count, with overflow %s",
    async (overflow) => {
      for (let i = 0; i < maxPerUser; i++) await expire((await t.create({ maxPerUser })).ref);
      const { ref } = await t.create({ maxPerUser, overflow });
      expect(await living()).toEqual([ref]);
      await soundly();
    },
  );

  test.each(["oldest", "reject"] as const)(
    "nor does one that has expired and whose token the browser still brings, with overflow %s",
    async (overflow) => {
      const old = await t.create({ maxPerUser: 1 });
      await expire(old.ref);
      const { ref } = await t.create({ maxPerUser, overflow, replaces: old.token });
      expect(await living()).toEqual([ref]);
      await t.db.del(key(old.ref));
      await soundly();
    },
  );
});

test("maxPerUser counts one user's sessions in one app", async () => {
  await t.create({ id: "alice2" });
  await t.create({ id: "alic" });
  await t.create({ id: 'alice"' });
  await t.create({ app: "other" });
  await t.create({ maxPerUser: 1, overflow: "reject" });
  for (const id of ["alice", "alice2", "alic", 'alice"']) expect(await living(id)).toHaveLength(1);
  expect((await t.rs.soid({ app: "other", id: "alice" })).sessions).toHaveLength(1);
});

test("ends all but the newest sessions of a user who has far more than the limit", async () => {
  const refs: string[] = [];
  for (let i = 0; i < 350; i++) refs.unshift((await t.create()).ref);
  const now = Date.now();
  for (const [i, ref] of refs.entries()) await editFields(t.db, key(ref), { created: now - 1000 - i });
  const { ref } = await t.create({ maxPerUser: 3 });
  expect(await living()).toEqual([ref, refs[0], refs[1]]);
  await soundly();
});

test("counts a rotated session once, and not its old token", async () => {
  const first = await t.create({ maxPerUser: 2 });
  await t.rs.rotate({ app, token: first.token });
  await t.create({ maxPerUser: 2, overflow: "reject" });
  await expect(t.create({ maxPerUser: 2, overflow: "reject" })).rejects.toMatchObject({ name: "tooManySessions" });
  expect((await t.rs.get({ app, token: first.token }))?.id).toBe("alice");
});

test("sign-ins that meet rotations of the user's sessions never leave more", async () => {
  for (let round = 0; round < 50; round++) {
    const id = `user${round}`;
    const { token } = await t.create({ id, maxPerUser: 2 });
    await Promise.all([
      t.create({ id, maxPerUser: 2 }),
      t.rs.rotate({ app, token }),
      t.create({ id, maxPerUser: 2 }),
      t.create({ id, maxPerUser: 2 }),
    ]);
    expect(await living(id)).toHaveLength(2);
  }
  await soundly();
});

test("a sign-in within the limits needs one command", async () => {
  await t.create({ maxPerUser: 2 });
  const commands = await t.redis.watch(() => t.create({ maxPerUser: 2, absolute: 60, overflow: "reject" }));
  expect(commands.map(([name]) => name)).toEqual(["evalsha"]);
});

describe("absolute", () => {
  test("ends a session that many seconds after its creation, if that is before its ttl", async () => {
    const { ref } = await t.create({ ttl: 7200, absolute: 60 });
    expect(await ttl(ref)).toBeLessThanOrEqual(60_000);
    expect(await ttl(ref)).toBeGreaterThan(55_000);
    expect(Number((await readFields(t.db, key(ref))).end)).toBeCloseTo(Date.now() + 60_000, -4);
  });

  test("ends it earlier when it is idle for its ttl", async () => {
    const { ref } = await t.create({ ttl: 10, absolute: 60 });
    expect(await ttl(ref)).toBeLessThanOrEqual(10_000);
  });

  test.each<[string, (ref: string) => Promise<unknown>]>([
    ["get", (ref) => t.rs.get({ app, ref })],
    ["set", (ref) => t.rs.set({ app, ref, d: { a: 1 } })],
  ])("%s prolongs it by its ttl, but never beyond its end", async (_name, use) => {
    const { ref } = await t.create({ ttl: 30, absolute: 3600 });
    await editFields(t.db, key(ref), { la: Date.now() - 20_000 });
    await t.db.pexpire(key(ref), 10_000);
    await use(ref);
    expect(await ttl(ref)).toBeGreaterThan(25_000);
    await editFields(t.db, key(ref), { la: Date.now() - 20_000, end: Date.now() + 12_000 });
    await use(ref);
    expect(await ttl(ref)).toBeLessThanOrEqual(12_000);
    expect(await ttl(ref)).toBeGreaterThan(10_000);
  });

  test("a session ends on time however often it is used, and also after rotate", async () => {
    const [used, rotated] = [await t.create({ absolute: 60 }), await t.create({ absolute: 60 })];
    const end = Date.now() + 400;
    for (const { ref } of [used, rotated]) {
      await editFields(t.db, key(ref), { end });
      await t.db.pexpire(key(ref), 400);
    }
    const moved = (await t.rs.rotate({ app, token: rotated.token, grace: 60 })) as Created;
    const tokens = [used.token, rotated.token, moved.token];
    let reads = 0;
    while (Date.now() < end - 50) {
      for (const token of tokens) {
        // As if a second and more had passed since the last use: each use prolongs.
        for (const { ref } of [used, moved]) await editFields(t.db, key(ref), { la: Date.now() - 5000 });
        expect(await t.rs.set({ app, token, d: { reads } })).not.toBeNull();
        reads++;
      }
      await sleep(20);
    }
    await sleep(end - Date.now() + 10);
    for (const token of tokens) expect(await t.rs.get({ app, token })).toBeNull();
    expect(reads).toBeGreaterThan(5);
    expect(await living()).toEqual([]);
  });

  test("a session past its absolute end is not prolonged by use", async () => {
    const { ref } = await t.create({ absolute: 60 });
    await editFields(t.db, key(ref), { end: Date.now() - 1000, la: Date.now() - 5000 });
    await t.db.pexpire(key(ref), 5000);
    await t.rs.get({ app, ref });
    expect(await ttl(ref)).toBeLessThanOrEqual(5000);
  });

  test("ends a no_resave session at the earlier of the two", async () => {
    const { ref } = await t.create({ ttl: 20, absolute: 60, no_resave: true });
    await editFields(t.db, key(ref), { la: Date.now() - 5000 });
    await t.rs.get({ app, ref });
    expect(await ttl(ref)).toBeLessThanOrEqual(20_000);
    const other = await t.create({ ttl: 60, absolute: 20, no_resave: true });
    expect(await ttl(other.ref)).toBeLessThanOrEqual(20_000);
  });

  test.each([{}, { no_resave: true }])("returns a ttl no longer than the remaining lifetime: %o", async (options) => {
    const { ref } = await t.create({ ttl: 3600, absolute: 60, ...options });
    expect(await t.rs.get({ app, ref })).toMatchObject({ ttl: 60 });
  });

  test("the entries of an ended session are wiped", async () => {
    const { ref } = await t.create({ ttl: 7200, absolute: 60 });
    const [score] = (await t.db.zrange("rs:{webapp}:expiry", "0", "-1", "WITHSCORES")).slice(1);
    expect(Number(score)).toBeLessThanOrEqual(Date.now() + 60_000);
    await expire(ref);
    await t.db.zadd("rs:{webapp}:expiry", 1, `"alice"${ref}`);
    expect(await t.rs.wipe()).toEqual({ wiped: 1 });
    await soundly();
  });
});

test.each<[Partial<CreateOptions>, string]>([
  [{ absolute: 9 }, "absolute must be a positive integer >= 10"],
  [{ absolute: 10.5 }, "absolute must be a positive integer >= 10"],
  [{ absolute: Number.MAX_SAFE_INTEGER }, "absolute must be a positive integer >= 10"],
  [{ maxPerUser: 0 }, "maxPerUser must be an integer >= 1"],
  [{ maxPerUser: 1.5 }, "maxPerUser must be an integer >= 1"],
  [{ maxPerUser: "two" as unknown as number }, "maxPerUser must be an integer >= 1"],
  [{ overflow: "newest" as "oldest" }, 'overflow must be "oldest", "idle" or "reject"'],
])("create refuses %j and sends nothing", async (options, message) => {
  const commands = await t.redis.watch(async () => {
    await expect(t.create(options)).rejects.toMatchObject({ name: "invalidValue", message });
  });
  expect(commands).toEqual([]);
});

describe("an entry whose session is damaged", () => {
  test.each([
    ["another text", (ref: string) => t.db.set(key(ref), "no session")],
    ["another type", async (ref: string) => [await t.db.del(key(ref)), await t.db.lpush(key(ref), "x")]],
    ["another user's session", (ref: string) => editFields(t.db, key(ref), { id: '"bob"' })],
  ])("does not count towards the limit: %s", async (_what, spoil) => {
    const { ref } = await t.create();
    await spoil(ref);
    const commands = await t.redis.watch(() => t.create({ maxPerUser: 1, overflow: "reject" }));
    expect(commands.length).toBeLessThan(10);
    expect(await living()).toHaveLength(1);
  });
});

test("300 concurrent sign-ins of one user all succeed, and leave maxPerUser sessions", async () => {
  const logins = Array.from({ length: 300 }, () => t.create({ maxPerUser: 5 }));
  const created = (await Promise.all(logins)).map(({ ref }) => ref);
  const left = await living();
  expect(left).toHaveLength(5);
  for (const ref of left) expect(created).toContain(ref);
  await soundly();
});

test("a sign-in at the limit ends with its deadline, and leaves no session whose token nobody has", async () => {
  const client = t.redis.client();
  const rs = new RedisSessions({ client, wipe: 0, timeout: 400 });
  for (let i = 0; i < 3; i++) await t.create();
  const before = await living();
  for (const name of ["evalsha", "hget", "mget"] as const) {
    const send = client[name].bind(client) as (...args: unknown[]) => Promise<unknown>;
    vi.spyOn(client, name).mockImplementation((async (...args: unknown[]) => {
      await sleep(150);
      return send(...args);
    }) as never);
  }
  const began = performance.now();
  const login = rs.create({ app, id: "alice", ip: "::1", maxPerUser: 2 });
  await expect(login).rejects.toMatchObject({ name: "timeout" });
  expect(performance.now() - began).toBeLessThan(600);
  await sleep(700);
  expect(before).toEqual(expect.arrayContaining(await living()));
});

test("a sign-in that is too late to make room ends no session", async () => {
  const client = t.redis.client();
  const rs = new RedisSessions({ client, wipe: 0, timeout: 200 });
  const alice = { app: "webapp", id: "alice", ip: "::1", maxPerUser: 1 };
  const first = await rs.create(alice);
  // To ask for room and to list takes longer than the deadline, each of them does not.
  for (const command of ["evalsha", "hget"] as const) {
    const send = client[command].bind(client) as (...args: unknown[]) => Promise<never>;
    vi.spyOn(client, command).mockImplementation(async (...args: unknown[]) => {
      await sleep(150);
      return send(...args);
    });
  }
  await expect(rs.create(alice)).rejects.toMatchObject({ name: "timeout" });
  await sleep(500);
  expect(await t.rs.get({ app: "webapp", token: first.token })).not.toBeNull();
});

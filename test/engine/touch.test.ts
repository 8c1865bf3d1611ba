import { afterEach, describe, expect, test, vi } from "vitest";
import { RedisSessions, type Session } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";
import { editFields, readFields } from "../support/session-text.js";

const t = useEngine();
const app = "webapp";
const nobody = "x".repeat(64);
const big = "x".repeat(300_000);

afterEach(() => void vi.restoreAllMocks());

const keyOf = (ref: string) => `rs:{${app}}:s:${ref}`;

/** Moves this process's clock ahead, but not Redis's. */
function later(seconds: number): void {
  const now = Date.now() + seconds * 1000;
  vi.spyOn(Date, "now").mockReturnValue(now);
}

/** How long the session still lives by Redis's clock, and how long it says that it does. Both in seconds. */
async function left(session: Session | null): Promise<{ pttl: number; expires: number }> {
  const { ref, expires } = session as Session;
  vi.restoreAllMocks();
  const [pttl, now] = [await t.db.pttl(keyOf(ref)), Date.now()];
  return { pttl: pttl / 1000, expires: (expires - now) / 1000 };
}

/** Expects that a session ends in so many seconds, and says so. */
async function expectLeft(session: Session | null, seconds: number): Promise<void> {
  const { pttl, expires } = await left(session);
  for (const found of [pttl, expires]) {
    expect(found).toBeGreaterThan(seconds - 2);
    expect(found).toBeLessThan(seconds + 1);
  }
}

describe.each([
  ["a small session", { a: 1 }],
  ["a session that is too long for one SET", { a: 1, text: "x".repeat(5000) }],
  ["a large session", { a: 1, big }],
])("touch of %s", (_kind, d) => {
  test("prolongs it now, also within a second of the last use, and counts neither a read nor a write", async () => {
    const { token, ref } = await t.create({ ttl: 100, d });
    await t.db.pexpire(keyOf(ref), 20_000);
    const touched = await t.rs.touch({ app, token });
    await expectLeft(touched, 100);
    expect(touched).toEqual({ ...(await t.rs.get({ app, ref, touch: false })), expires: expect.any(Number) });
    expect(touched).toMatchObject({ r: 1, w: 1, ttl: 100 });
    expect(JSON.stringify(touched?.d)).toBe(JSON.stringify(d));
  });

  test("sets another ttl, longer or shorter, which later uses keep", async () => {
    const { token, ref } = await t.create({ ttl: 100, d });
    for (const ttl of [86_400, 50, 8_640_000]) {
      await expectLeft(await t.rs.touch({ app, ref, ttl }), ttl);
      later(5);
      const used = await t.rs.get({ app, token });
      expect(used).toMatchObject({ ttl });
      await expectLeft(used, ttl);
      await expectLeft(await t.rs.set({ app, token, d: { b: ttl } }), ttl);
    }
  });

  test("returns the idle time before it, and records the use in the index", async () => {
    const { ref } = await t.create({ ttl: 100, d });
    later(30);
    expect(await t.rs.touch({ app, ref })).toMatchObject({ idle: 30 });
    expect(await t.rs.touch({ app, ref })).toMatchObject({ idle: 0 });
    expect(await t.db.zscore(`rs:{${app}}:active`, ref)).toBe(`${Date.now()}`);
    expect(await t.db.zscore(`rs:{${app}}:users`, '"alice"')).toBe(`${Date.now()}`);
    vi.restoreAllMocks();
    expect((await readStored(t.db, app)).problems).toEqual([]);
  });

  test("keeps the absolute end", async () => {
    const { token } = await t.create({ ttl: 100, absolute: 150, d });
    await expectLeft(await t.rs.touch({ app, token, ttl: 1000 }), 150);
    await expectLeft(await t.rs.touch({ app, token }), 150);
    await expectLeft(await t.rs.touch({ app, token, ttl: 20 }), 20);
  });

  test("prolongs a no_resave session only if it has a ttl", async () => {
    const { token, ref } = await t.create({ ttl: 100, no_resave: true, d });
    await editFields(t.db, keyOf(ref), { created: { add: -30_000 } });
    await t.db.pexpire(keyOf(ref), 70_000);
    const kept = await t.rs.touch({ app, token });
    expect(kept).toMatchObject({ ttl: 70, no_resave: true });
    await expectLeft(kept, 70);
    for (const ttl of [200, 20]) {
      const touched = await t.rs.touch({ app, token, ttl });
      expect(touched).toMatchObject({ ttl, no_resave: true });
      await expectLeft(touched, ttl);
      await expectLeft(await t.rs.get({ app, token, touch: false }), ttl);
    }
  });
});

test("touch keeps the absolute end of a no_resave session", async () => {
  const { token } = await t.create({ ttl: 100, no_resave: true, absolute: 60 });
  await expectLeft(await t.rs.touch({ app, token, ttl: 1000 }), 60);
  await expectLeft(await t.rs.touch({ app, token, ttl: 20 }), 20);
});

test("touch lets the wiper look at a session earlier that now ends earlier", async () => {
  const { ref } = await t.create({ ttl: 86_400 });
  await t.rs.touch({ app, ref, ttl: 10 });
  const score = Number(await t.db.zscore(`rs:{${app}}:expiry`, `"alice"${ref}`));
  expect(score).toBeLessThan(Date.now() + 11_000);
});

test("touch keeps the room for flags in a session that is long, but not large", async () => {
  const { ref } = await t.create({ ttl: 100, d: { text: "x".repeat(100_000) } });
  const before = await t.db.strlen(keyOf(ref));
  for (const ttl of [86_400, 50]) {
    await t.rs.touch({ app, ref, ttl });
    expect(await t.db.strlen(keyOf(ref))).toBe(before);
  }
});

test("touch never prolongs an impersonated session, and refuses a ttl for it", async () => {
  const { token, ref } = await t.create({ actor: "support" });
  await t.db.pexpire(keyOf(ref), 100_000);
  const before = await readFields(t.db, keyOf(ref));
  await expect(t.rs.touch({ app, token, ttl: 86_400 })).rejects.toMatchObject({ name: "impersonated", status: 403 });
  expect(await readFields(t.db, keyOf(ref))).toEqual(before);
  expect(await t.rs.touch({ app, token })).toMatchObject({ actor: "support", no_resave: true });
  expect(await t.db.pttl(keyOf(ref))).toBeLessThanOrEqual(100_000);
});

test("touch by an old token touches the rotated session", async () => {
  const { token } = await t.create({ ttl: 100 });
  const rotated = await t.rs.rotate({ app, token });
  expect(await t.rs.touch({ app, token, ttl: 50 })).toMatchObject({ ref: rotated?.ref, ttl: 50 });
});

test("touch returns null and writes nothing if there is no session", async () => {
  expect(await t.rs.touch({ app, token: nobody, ttl: 50 })).toBeNull();
  expect(await t.rs.touch({ app, ref: "x".repeat(27) })).toBeNull();
  expect(await t.db.dbsize()).toBe(0);
});

test("touch does not revive a session that was ended", async () => {
  const { token } = await t.create();
  await Promise.all([t.rs.kill({ app, token }), t.rs.touch({ app, token, ttl: 50 })]);
  expect(await t.rs.touch({ app, token })).toBeNull();
});

test("touch accepts a whole session, and keeps its end", async () => {
  for (const no_resave of [false, true]) {
    const { ref } = await t.create({ ttl: 100, no_resave, device: "Firefox" });
    const session = (await t.rs.get({ app, ref, touch: false })) as Session;
    await expectLeft(await t.rs.touch({ app, ...session }), 100);
  }
});

test("touch refuses an id that is not the session's", async () => {
  const { ref } = await t.create({ ttl: 100 });
  await expect(t.rs.touch({ app, ref, ttl: 50, ...{ id: "bob" } })).rejects.toMatchObject({
    name: "invalidValue",
    message: "touch does not change id, and the value passed in is not the session's",
  });
  expect(await t.rs.get({ app, ref, touch: false })).toMatchObject({ ttl: 100 });
});

test("touch is one command, and 50 together need one script", async () => {
  const created = await Promise.all(Array.from({ length: 50 }, () => t.create()));
  await t.rs.touch({ app, ref: created[0]?.ref as string });
  const commands = await t.redis.watch(() => Promise.all(created.map(({ ref }) => t.rs.touch({ app, ref }))));
  expect(commands.length).toBeLessThanOrEqual(2);
});

describe.each([
  ["a small session", { a: 1 }],
  ["a large session", { a: 1, big }],
])("set with touch: false on %s", (_kind, d) => {
  test("writes the data, and leaves the last use, the expiry and the index alone", async () => {
    const { token, ref } = await t.create({ ttl: 100, d });
    await t.db.pexpire(keyOf(ref), 20_000);
    const before = await readFields(t.db, keyOf(ref));
    const index = await t.db.zrange(`rs:{${app}}:active`, "0", "-1", "WITHSCORES");
    later(60);
    const written = await t.rs.set({ app, token, d: { role: "admin" }, touch: false });
    expect(written).toMatchObject({ idle: 60, w: 2, d: { a: 1, role: "admin" } });
    expect(written?.expires).toBe((await t.rs.get({ app, ref, touch: false }))?.expires);
    expect(await t.rs.activity({ app, dt: 50 })).toEqual({ activity: 0 });
    vi.restoreAllMocks();
    expect(await readFields(t.db, keyOf(ref))).toMatchObject({ la: before.la, '"role"': '"admin"' });
    expect(await t.db.pttl(keyOf(ref))).toBeLessThanOrEqual(20_000);
    expect(await t.db.zrange(`rs:{${app}}:active`, "0", "-1", "WITHSCORES")).toEqual(index);
  });

  test("lets another set in the same run touch the session", async () => {
    const { token, ref } = await t.create({ ttl: 100, d });
    later(60);
    await Promise.all([
      t.rs.set({ app, token, d: { b: 1 }, touch: false }),
      t.rs.set({ app, token, d: { c: 1 } }),
      t.rs.set({ app, token, d: { d: 1 }, touch: false }),
    ]);
    expect(await t.rs.get({ app, ref, touch: false })).toMatchObject({ idle: 0, w: 4, d: { b: 1, c: 1, d: 1 } });
  });
});

test("set with touch: false on a large session keeps the use of a read that comes in between", async () => {
  const { token, ref } = await t.create({ ttl: 100, d: { big } });
  await t.db.setrange(keyOf(ref), 0, `${Date.now() - 60_000}`);
  const client = t.redis.client();
  const rs = new RedisSessions({ client, wipe: 0 });
  const write = client.set.bind(client);
  let read: Promise<unknown> | undefined;
  client.set = (async (...args: Parameters<typeof write>) => {
    // The session was read, and its new text is about to be staged.
    read ??= t.rs.get({ app, token });
    await read;
    return write(...args);
  }) as never;
  await rs.set({ app, token, d: { a: 1 }, touch: false });
  const session = await t.rs.get({ app, ref, touch: false });
  expect(session).toMatchObject({ idle: 0, r: 2, w: 2 });
  await expectLeft(session, 100);
});

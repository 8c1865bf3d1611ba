import { expect, test } from "vitest";
import type { Created, CreateOptions, Session } from "../../src/index.js";
import { readApps, registerApp } from "../../src/lua/index.js";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";
import { editFields, readFields } from "../support/session-text.js";

// MONITOR, which shows the commands, makes large ones slow on a busy machine.
const t = useEngine({ timeout: 20_000 });

const app = "webapp";

/** Creates `length` sessions at once. `d.n` is the number of each. */
function createMany(length: number, session: Partial<CreateOptions> = {}): Promise<Created[]> {
  return Promise.all(count(length).map((n) => t.create({ ...session, d: { n } })));
}

/** Loads the scripts. A call whose script Redis does not have is sent again, after calls that were made later. */
async function learnScripts(): Promise<void> {
  const { token } = await t.create();
  await t.rs.get({ app, token });
  await t.rs.set({ app, token, d: { n: 0 } });
  await t.rs.kill({ app, token });
}

/** The numbers from 0 on. */
function count(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}

/** The number of sessions in the command that has most of them. */
function maxSessions(commands: string[][]): number {
  return Math.max(...commands.map((command) => command.filter((arg) => arg.startsWith(`rs:{${app}}:s:`)).length));
}

test("runs simultaneous calls in the order in which they were made", async () => {
  const { token } = await t.create();
  const writes = Array.from({ length: 50 }, (_, n) => t.rs.set({ app, token, d: { n } }));
  const written = await Promise.all(writes);
  expect(written.map((session) => session?.d?.n)).toEqual(Array.from({ length: 50 }, (_, n) => n));
  expect(written.map((session) => session?.w)).toEqual(Array.from({ length: 50 }, (_, n) => n + 2));
});

test("does not let a call overtake a waiting one after the call in flight was answered", async () => {
  await learnScripts();
  const { token } = await t.create({ d: { n: 0 } });
  let races = 0;
  for (let n = 1; n <= 20; n++) {
    // A call by itself makes the next one leave at once.
    await t.rs.get({ app, token });
    // Begin in the check phase. The loop then reads the sockets before it sends the waiting calls.
    await new Promise(setImmediate);
    const first = t.rs.get({ app, token });
    const second = t.rs.set({ app, token, d: { n } });
    let isFlushed = false;
    setImmediate(() => {
      isFlushed = true;
    });
    // Hold the process busy until Redis has answered the first call.
    for (const end = performance.now() + 5; performance.now() < end; );
    await first;
    if (!isFlushed) races++;
    expect((await t.rs.get({ app, token }))?.d).toEqual({ n });
    await second;
  }
  expect(races).toBeGreaterThan(0);
});

test("rejects only the call that failed", async () => {
  const { token } = await t.create();
  const bad = await t.create({ id: "bob" });
  await t.db.set(`rs:{${app}}:s:${bad.ref}`, "no session");
  const answers = await Promise.allSettled([token, bad.token, token].map((one) => t.rs.get({ app, token: one })));
  expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
});

test("sends 1000 simultaneous gets in few commands, and returns its own session to each", async () => {
  const created = await createMany(1000);
  await learnScripts();
  let sessions: (Session | null)[] = [];
  const commands = await t.redis.watch(async () => {
    sessions = await Promise.all(created.map(({ token }) => t.rs.get({ app, token })));
  });
  expect(sessions.map((session) => session?.ref)).toEqual(created.map(({ ref }) => ref));
  expect(sessions.map((session) => session?.d)).toEqual(count(1000).map((n) => ({ n })));
  expect(new Set(commands.map(([name]) => name?.toLowerCase()))).toEqual(new Set(["evalsha"]));
  expect(commands.length).toBeLessThanOrEqual(12);
  expect(maxSessions(commands)).toBe(100);
});

test("stores all of 1000 sessions that are created simultaneously, with their index entries", async () => {
  await learnScripts();
  let created: Created[] = [];
  const commands = await t.redis.watch(async () => {
    created = await createMany(1000);
  });
  expect(commands.length).toBeLessThanOrEqual(12);
  expect(maxSessions(commands)).toBe(100);
  const { sessions, problems } = await readStored(t.db, app);
  expect(sessions.sort()).toEqual(created.map(({ ref }) => ref).sort());
  expect(problems).toEqual([]);
});

test("runs calls of different operations on a session in the order in which they were made", async () => {
  await learnScripts();
  const { token } = await t.create({ d: { n: -1 } });
  const calls: Promise<Session | null>[] = [];
  for (let n = 0; n < 100; n++) {
    calls.push(t.rs.set({ app, token, d: { n } }));
    calls.push(t.rs.get({ app, token }));
    if (n % 3 === 0) calls.push(t.rs.get({ app, token, touch: false }));
  }
  const killed = t.rs.kill({ app, token });
  const dead = [t.rs.get({ app, token }), t.rs.set({ app, token, d: { n: 100 } })];
  const seen = (await Promise.all(calls)).map((session) => session?.d?.n);
  expect(seen).toEqual(count(100).flatMap((n) => (n % 3 === 0 ? [n, n, n] : [n, n])));
  expect(await killed).toEqual({ kill: 1 });
  expect(await Promise.all(dead)).toEqual([null, null]);
});

test("runs the calls on each of several sessions in the order in which they were made", async () => {
  await learnScripts();
  const created = await createMany(10);
  const calls = count(20).map((n) =>
    created.map(({ token }) => [t.rs.set({ app, token, d: { n } }), t.rs.get({ app, token })]),
  );
  const seen = (await Promise.all(calls.flat(2))).map((session) => session?.d?.n);
  expect(seen).toEqual(count(20).flatMap((n) => Array.from({ length: 20 }, () => n)));
});

test("counts and prolongs only the simultaneous reads that touch the session", async () => {
  const [counted, both, unseen] = (await createMany(3)) as [Created, Created, Created];
  const base = `rs:{${app}}:`;
  for (const { ref } of [counted, both, unseen]) {
    await editFields(t.db, `${base}s:${ref}`, { la: { add: -5000 } });
    await t.db.pexpire(`${base}s:${ref}`, 50_000);
  }
  const read = ({ token }: Created, touch?: boolean) =>
    t.rs.get(touch === undefined ? { app, token } : { app, token, touch });
  const sessions = await Promise.all([
    read(unseen, false),
    read(counted, true),
    read(unseen, false),
    read(both, false),
    read(counted),
    read(both, true),
    read(both, false),
    read(unseen, false),
    read(counted, true),
  ]);
  // Each read returns the session as it was before. The reads of `counted` share a run, so all return it as it was before that.
  expect(sessions.map((session) => session?.r)).toEqual([1, 1, 1, 1, 1, 1, 2, 1, 1]);
  expect(sessions.filter((session) => session?.idle === 0)).toEqual([sessions[6]]);
  expect((await readFields(t.db, `${base}s:${counted.ref}`)).r).toBe("4");
  expect((await readFields(t.db, `${base}s:${both.ref}`)).r).toBe("2");
  expect((await readFields(t.db, `${base}s:${unseen.ref}`)).r).toBe("1");
  expect(await t.db.pttl(`${base}s:${counted.ref}`)).toBeGreaterThan(50_000);
  expect(await t.db.pttl(`${base}s:${both.ref}`)).toBeGreaterThan(50_000);
  expect(await t.db.pttl(`${base}s:${unseen.ref}`)).toBeLessThanOrEqual(50_000);
});

test("writes large values simultaneously in commands of limited size", async () => {
  await learnScripts();
  const created = await createMany(10);
  const text = (n: number) => `${n}`.padStart(10_000, "딸기 ");
  const commands = await t.redis.watch(() =>
    Promise.all(
      count(40).map((n) => {
        const { token } = created[n % 10] as Created;
        return t.rs.set({ app, token, d: { [`large${n}`]: text(n) } });
      }),
    ),
  );
  for (const [i, { token }] of created.entries()) {
    const large = [i, i + 10, i + 20, i + 30].map((n) => [`large${n}`, text(n)]);
    expect((await t.rs.get({ app, token }))?.d).toEqual({ n: i, ...Object.fromEntries(large) });
  }
  // One is sent at once, the others in runs of at most seven: a run takes calls until it has 64 K characters. A call waits for
  // an earlier run that may leave a call on the same session undone, so some runs are shorter.
  expect(commands.length).toBeLessThanOrEqual(13);
  expect(maxSessions(commands)).toBeLessThanOrEqual(7);
});

test("writes small values that are sent together with a large one", async () => {
  const created = await createMany(100);
  const large = "x".repeat(900_000);
  const written = created.map(({ token }, i) => t.rs.set({ app, token, d: { text: i === 50 ? large : `${i}` } }));
  const lengths = (await Promise.all(written)).map((session) => `${session?.d?.text}`.length);
  expect(lengths).toEqual(count(100).map((i) => (i === 50 ? 900_000 : `${i}`.length)));
});

test("serves 300 simultaneous calls on a Redis that has lost the scripts", async () => {
  const created = await createMany(100);
  await t.db.script("FLUSH");
  const calls = created.map(({ token, ref }, n) => [
    t.rs.get({ app, token }),
    t.rs.set({ app, ref, d: { more: n } }),
    t.create({ id: "bob", d: { n } }),
  ]);
  const answers = await Promise.all(calls.flat());
  const refs = answers.map((answer) => answer?.ref);
  expect(refs.filter((_, i) => i % 3 < 2)).toEqual(created.flatMap(({ ref }) => [ref, ref]));
  const stored = await readStored(t.db, app);
  expect(stored.problems).toEqual([]);
  expect(new Set(stored.sessions)).toEqual(new Set(refs));
  expect(stored.sessions).toHaveLength(200);
  const sessions = await Promise.all(created.map(({ token }) => t.rs.get({ app, token })));
  expect(sessions.map((session) => session?.d)).toEqual(count(100).map((n) => ({ n, more: n })));
  expect(sessions.map((session) => [session?.r, session?.w])).toEqual(count(100).map(() => [2, 2]));
});

test("keeps the sessions of two apps apart in simultaneous calls", async () => {
  const mine = await createMany(50);
  const theirs = await createMany(50, { app: "other" });
  const calls = count(50).flatMap((i) => {
    const [{ token: here }, { token: there }] = [mine[i] as Created, theirs[i] as Created];
    return [
      t.rs.set({ app, token: here, d: { here: i } }),
      t.rs.set({ app: "other", token: there, d: { there: i } }),
      t.rs.get({ app, token: here }),
      t.rs.get({ app: "other", token: there }),
      // A token of one app is unknown in the other.
      t.rs.get({ app: "other", token: here }),
      t.rs.set({ app, token: there, d: { wrong: i } }),
    ];
  });
  const answers = (await Promise.all(calls)).map((session) => session?.d ?? null);
  expect(answers).toEqual(
    count(50).flatMap((n) => {
      const [here, there] = [
        { n, here: n },
        { n, there: n },
      ];
      return [here, there, here, there, null, null];
    }),
  );
  expect(await readStored(t.db, app)).toMatchObject({ sessions: { length: 50 }, problems: [] });
  expect(await readStored(t.db, "other")).toMatchObject({ sessions: { length: 50 }, problems: [] });
});

test("ends each session once when many are ended simultaneously, and keeps the others", async () => {
  await learnScripts();
  const created = await createMany(150);
  const [ended, alive] = [created.slice(0, 120), created.slice(120)];
  const never = { ref: "x".repeat(27) };
  let answers: unknown[] = [];
  const commands = await t.redis.watch(async () => {
    answers = await Promise.all([...ended, ...ended, never].map(({ ref }) => t.rs.kill({ app, ref })));
  });
  expect(answers).toEqual([...ended.map(() => ({ kill: 1 })), ...ended.map(() => ({ kill: 0 })), { kill: 0 }]);
  expect(commands.length).toBeLessThanOrEqual(4);
  const stored = await readStored(t.db, app);
  expect(stored).toMatchObject({ redirects: [], problems: [] });
  expect(stored.sessions.sort()).toEqual(alive.map(({ ref }) => ref).sort());
});

test("leaves a tombstone only for replaced sessions when many end simultaneously", async () => {
  const [ended, replaced] = [await createMany(20), await createMany(20)];
  const calls = count(20).map((i) => [
    t.rs.kill({ app, token: ended[i]?.token as string }),
    t.create({ id: "bob", replaces: replaced[i]?.token as string }),
  ]);
  await Promise.all(calls.flat());
  const { redirects, sessions, problems } = await readStored(t.db, app);
  expect(redirects.sort()).toEqual(replaced.map(({ ref }) => ref).sort());
  expect(sessions).toHaveLength(20);
  expect(problems).toEqual([]);
  const gone = [...ended, ...replaced].map(({ token }) => t.rs.get({ app, token }));
  expect(await Promise.all(gone)).toEqual(gone.map(() => null));
});

test("finds rotated sessions by their old tokens among simultaneous calls", async () => {
  const created = await createMany(60);
  const rotated = await Promise.all(created.slice(0, 20).map(({ token }) => t.rs.rotate({ app, token })));
  const read = await Promise.all(created.map(({ token }) => t.rs.get({ app, token })));
  expect(read.map((session) => session?.d)).toEqual(count(60).map((n) => ({ n })));
  expect(read.slice(0, 20).map((session) => session?.ref)).toEqual(rotated.map((one) => one?.ref));
  const written = await Promise.all(created.map(({ token }, i) => t.rs.set({ app, token, d: { more: i } })));
  expect(written.map((session) => session?.d)).toEqual(count(60).map((n) => ({ n, more: n })));
  const killed = await Promise.all(created.map(({ token }) => t.rs.kill({ app, token })));
  expect(killed).toEqual(created.map(() => ({ kill: 1 })));
  expect((await readStored(t.db, app)).entries).toBe(0);
});

test("enforces maxPerUser when users sign in simultaneously", async () => {
  await learnScripts();
  const limits = { maxPerUser: 2, overflow: "reject" } as const;
  const calls = count(30).map((i) => t.create({ id: `user${i % 10}`, ...limits }));
  const answers = await Promise.allSettled(calls);
  expect(answers.map(({ status }) => status)).toEqual(count(30).map((i) => (i < 20 ? "fulfilled" : "rejected")));
  expect(answers.slice(20)).toEqual(
    count(10).map(() => ({ status: "rejected", reason: expect.objectContaining({ code: "ERR_TOO_MANY_SESSIONS" }) })),
  );
  expect(await readStored(t.db, app)).toMatchObject({ sessions: { length: 20 }, problems: [] });
});

test("registers a new app for the wipers once when its first sessions are created simultaneously", async () => {
  const commands = await t.redis.watch(async () => {
    await Promise.all(count(200).map((n) => t.create({ app: "brandnew", id: `user${n}` })));
  });
  // Before that, it reads once whether the app is registered.
  for (const { sha } of [readApps, registerApp])
    expect(commands.filter((command) => command.includes(sha))).toHaveLength(1);
});

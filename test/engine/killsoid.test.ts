import { describe, expect, test, vi } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { killMany } from "../../src/lua/index.js";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";

const t = useEngine();
const app = "webapp";

async function refs(id = "alice"): Promise<string[]> {
  return (await t.rs.soid({ app, id })).sessions.map(({ ref }) => ref);
}

test("ends the sessions of the user and no others", async () => {
  await t.create();
  await t.create();
  const { ref } = await t.create({ id: "bob" });
  const other = await t.create({ app: "other" });
  expect(await t.rs.killsoid({ app, id: "alice" })).toEqual({ kill: 2 });
  expect(await refs()).toEqual([]);
  expect(await refs("bob")).toEqual([ref]);
  expect(await t.rs.get({ app: "other", ref: other.ref })).not.toBeNull();
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 1 });
});

test("returns 0 for a user without sessions", async () => {
  expect(await t.rs.killsoid({ app, id: "alice" })).toEqual({ kill: 0 });
  await t.create();
  await t.rs.killsoid({ app, id: "alice" });
  expect(await t.rs.killsoid({ app, id: "alice" })).toEqual({ kill: 0 });
});

test("ends 250 sessions and leaves nothing of them in Redis", async () => {
  await Promise.all(Array.from({ length: 250 }, () => t.create()));
  expect(await t.rs.killsoid({ app, id: "alice" })).toEqual({ kill: 250 });
  expect((await t.db.keys("*")).sort()).toEqual(["rs:apps", "rs:layout"]);
});

test("drops an entry whose session is gone and does not count it", async () => {
  const { ref } = await t.create();
  await t.create();
  await t.db.del(`rs:{webapp}:s:${ref}`);
  expect(await t.rs.killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
  expect(await readStored(t.db, app)).toEqual({ sessions: [], redirects: [], entries: 0, problems: [] });
});

describe("except", () => {
  test.each(["token", "ref"] as const)("keeps one session, named by %s", async (by) => {
    await t.create();
    const mine = await t.create();
    await t.create();
    expect(await t.rs.killsoid({ app, id: "alice", except: mine[by] })).toEqual({ kill: 2 });
    expect(await refs()).toEqual([mine.ref]);
    expect((await readStored(t.db, app)).problems).toEqual([]);
  });

  test("returns 0 if the excepted session is the only one", async () => {
    const { token } = await t.create();
    expect(await t.rs.killsoid({ app, id: "alice", except: token })).toEqual({ kill: 0 });
    expect(await refs()).toHaveLength(1);
  });

  test("keeps one of 250", async () => {
    const all = await Promise.all(Array.from({ length: 250 }, () => t.create()));
    const mine = all[120] as { token: string; ref: string };
    expect(await t.rs.killsoid({ app, id: "alice", except: mine.token })).toEqual({ kill: 249 });
    expect(await refs()).toEqual([mine.ref]);
  });

  test.each(["token", "ref"] as const)("with the old %s of a rotated session keeps the session", async (by) => {
    await t.create();
    const old = await t.create();
    const now = await t.rs.rotate({ app, token: old.token });
    expect(await t.rs.killsoid({ app, id: "alice", except: old[by] })).toEqual({ kill: 1 });
    expect(await refs()).toEqual([now?.ref]);
  });

  test("with the first token of a session that was rotated twice keeps the session", async () => {
    await t.create();
    const first = await t.create();
    const second = await t.rs.rotate({ app, token: first.token });
    const third = await t.rs.rotate({ app, token: `${second?.token}` });
    expect(await t.rs.killsoid({ app, id: "alice", except: first.token })).toEqual({ kill: 1 });
    expect(await refs()).toEqual([third?.ref]);
  });

  test("keeps a session that is rotated while two pages are on their way", async () => {
    const all = await Promise.all(Array.from({ length: 1200 }, () => t.create()));
    const { token = "" } = all[700] ?? {};
    // Load the scripts.
    await t.rs.killsoid({ app, id: "erin" });
    const other = new RedisSessions({ client: t.redis.client(), wipe: 0 });
    const send = t.db.sendCommand.bind(t.db);
    let rotated: { token: string } | null = null;
    let sent = 0;
    const spy = vi.spyOn(t.db, "sendCommand").mockImplementation((command, stream) => {
      if (command.args[0] !== killMany.sha || ++sent > 1) return send(command, stream);
      void other.rotate({ app, token }).then((result) => {
        rotated = result;
        send(command, stream);
      });
      return command.promise;
    });
    expect(await t.rs.killsoid({ app, id: "alice", except: token })).toEqual({ kill: 1199 });
    spy.mockRestore();
    expect(await t.rs.get({ app, token: `${(rotated as { token: string } | null)?.token}` })).not.toBeNull();
    expect((await readStored(t.db, app)).problems).toEqual([]);
  });

  test("with a token whose grace is over keeps nothing", async () => {
    const old = await t.create();
    await t.rs.rotate({ app, token: old.token, grace: 0 });
    expect(await t.rs.killsoid({ app, id: "alice", except: old.token })).toEqual({ kill: 1 });
  });

  test("with the old token of an ended session keeps nothing and returns", async () => {
    await t.create();
    const old = await t.create();
    await t.rs.rotate({ app, token: old.token, grace: 600 });
    await t.rs.kill({ app, token: old.token });
    expect(await t.rs.killsoid({ app, id: "alice", except: old.token })).toEqual({ kill: 1 });
  });

  test("with another user's session, or an unknown one, keeps nothing", async () => {
    const bobs = await t.create({ id: "bob" });
    await t.create();
    expect(await t.rs.killsoid({ app, id: "alice", except: bobs.ref })).toEqual({ kill: 1 });
    await t.create();
    expect(await t.rs.killsoid({ app, id: "alice", except: "x".repeat(27) })).toEqual({ kill: 1 });
    expect(await refs("bob")).toEqual([bobs.ref]);
  });
});

test("ends a session that was rotated; its old token does not work either", async () => {
  const { token } = await t.create();
  const rotated = await t.rs.rotate({ app, token });
  expect(await t.rs.killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
  expect(await t.rs.get({ app, token })).toBeNull();
  expect(await t.rs.get({ app, token: `${rotated?.token}` })).toBeNull();
});

test("ends a session that moves from the overflow to the user's field after the first read", async () => {
  const created = await Promise.all(Array.from({ length: 150 }, () => t.create({ id: "dora" })));
  const [entry = ""] = await t.db.zrange("rs:{webapp}:user-sessions-overflow", "0", "-1");
  const { token = "", ref: inCrowd = "" } = created.find(({ ref }) => entry.endsWith(ref)) ?? {};
  // Make room in the field, and leave one session in the overflow.
  const field = `${await t.db.hget("rs:{webapp}:user-sessions", '"dora"')}`.split("\n");
  for (const { ref } of created) {
    if (ref !== inCrowd && !field.slice(1, 3).includes(ref)) await t.rs.kill({ app: "webapp", ref });
  }
  expect(await t.db.zcard("rs:{webapp}:user-sessions-overflow")).toBe(1);
  // Load the script.
  await t.rs.killsoid({ app: "webapp", id: "erin" });

  // Before the second command is sent, rotate the session in the overflow, which moves it to the field.
  const other = new RedisSessions({ client: t.redis.client(), wipe: 0 });
  const send = t.db.sendCommand.bind(t.db);
  let sent = 0;
  const rotated: string[] = [];
  const spy = vi.spyOn(t.db, "sendCommand").mockImplementation(async (command, stream) => {
    if (++sent === 2) rotated.push(`${(await other.rotate({ app: "webapp", token }))?.token}`);
    return send(command, stream);
  });
  await t.rs.killsoid({ app: "webapp", id: "dora" });
  spy.mockRestore();
  const [fresh = ""] = rotated;
  expect(fresh).toMatch(/^[A-Za-z0-9]{64}$/);
  expect(await t.rs.get({ app: "webapp", token: fresh })).toBeNull();
  expect((await t.rs.soid({ app: "webapp", id: "dora" })).sessions).toEqual([]);
});

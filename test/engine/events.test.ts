import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import {
  type EndedEvent,
  type EventMap,
  RedisSessions,
  type RedisSessionsOptions,
  type SessionEvent,
} from "../../src/index.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
const POLL = { timeout: 10_000, interval: 10 };

const engines: RedisSessions[] = [];

function engine(options: RedisSessionsOptions = {}): RedisSessions {
  const rs = new RedisSessions({ client: t.db, wipe: 0, events: true, ...options });
  engines.push(rs);
  return rs;
}

let rs: RedisSessions;
beforeEach(() => {
  rs = engine();
});
afterEach(() => Promise.all(engines.splice(0).map((one) => one.quit())));

const alice = { app, id: "alice", ip: "::1" };

/** Three engines that hear of the app, and the ends that each of them hears of. */
async function threeServers(options: RedisSessionsOptions = {}): Promise<[RedisSessions[], EndedEvent[][]]> {
  const servers = [engine(options), engine(options), engine(options)];
  const heard = servers.map((server) => collect(server, "ended") as EndedEvent[]);
  const subscribed = servers.map((server) => new Promise((resolve) => server.once("subscribed", resolve)));
  await rs.create({ ...alice, id: "first" });
  await Promise.all(subscribed);
  return [servers, heard];
}

/** Collects the events of these names. */
function collect(from: RedisSessions, ...names: ("created" | "changed" | "rotated" | "ended")[]): SessionEvent[] {
  const events: SessionEvent[] = [];
  for (const name of names) from.on(name, (event) => events.push(event));
  return events;
}

describe("on", () => {
  test("hears of all kinds of events, whichever engine has caused them", async () => {
    await t.create();
    const other = engine();
    const events = collect(other, "created", "changed", "rotated", "ended");
    await new Promise((resolve) => other.once("subscribed", resolve));
    const { token, ref } = await rs.create(alice);
    await rs.set({ app, token, d: { cart: 1 } });
    const rotated = await rs.rotate({ app, token });
    const to = `${rotated?.ref}`;
    await rs.kill({ app, ref: to });
    await expect.poll(() => events.length, POLL).toBe(4);
    const base = { app, id: "alice", at: expect.any(Number) };
    expect(events).toEqual([
      { kind: "created", ...base, ref },
      { kind: "changed", ...base, ref },
      { kind: "rotated", ...base, ref, to },
      { kind: "ended", ...base, ref: to, reason: "killed" },
    ]);
  });

  test("hears of the first session of an app that its own engine creates", async () => {
    const events = collect(rs, "created");
    const { ref } = await rs.create({ ...alice, app: "brand-new" });
    await expect.poll(() => events, POLL).toMatchObject([{ app: "brand-new", ref }]);
  });

  test("hears of an app that another process has just created, within seconds", async () => {
    const events = collect(rs, "changed");
    const { token } = await engine().create(alice);
    await expect
      .poll(
        async () => {
          await engine().set({ app, token, d: { n: 1 } });
          return events.length;
        },
        { timeout: 5000, interval: 200 },
      )
      .toBeGreaterThan(0);
  });

  test("calls every listener, also if one throws or rejects, and emits what they throw", async () => {
    const errors: unknown[] = [];
    const calls: string[] = [];
    const [thrown, rejected] = [new Error("thrown"), new Error("rejected")];
    rs.on("ended", () => {
      throw thrown;
    });
    rs.on("ended", () => Promise.reject(rejected));
    rs.on("ended", ({ reason }) => calls.push(reason));
    rs.on("error", (error) => errors.push(error));
    for (let i = 0; i < 2; i++) {
      const { ref } = await rs.create(alice);
      await rs.kill({ app, ref });
    }
    await expect.poll(() => errors.length, POLL).toBe(4);
    expect(errors).toEqual(expect.arrayContaining([thrown, rejected]));
    expect(calls).toEqual(["killed", "killed"]);
  });

  test("warns once of a listener that throws if nobody listens to errors", async () => {
    const warnings: (Error & { code?: string })[] = [];
    const note = (warning: Error) => void warnings.push(warning);
    process.on("warning", note);
    const events = collect(rs, "created");
    rs.on("created", () => {
      throw new Error("of the listener");
    });
    await rs.create(alice);
    await rs.create(alice);
    await expect.poll(() => events.length, POLL).toBe(2);
    await expect.poll(() => warnings.length).toBe(1);
    process.off("warning", note);
    expect(warnings[0]).toMatchObject({
      code: "EVENT_LISTENER_FAILED",
      message: expect.stringContaining('A listener of "created" has failed: Error: of the listener'),
    });
  });

  test("takes a thousand listeners, over one connection", async () => {
    let calls = 0;
    for (let i = 0; i < 1000; i++) rs.on("created", () => calls++);
    await rs.create(alice);
    await expect.poll(() => calls, POLL).toBe(1000);
    const list = String(await t.db.client("LIST", "TYPE", "PUBSUB")).trim();
    expect(list.split("\n")).toHaveLength(1);
  });

  test("off and once end the subscription with the last listener", async () => {
    const calls: string[] = [];
    const listener = ({ id }: EventMap["created"]) => void calls.push(id);
    rs.on("created", listener).once("created", listener);
    await rs.create(alice);
    await rs.create({ ...alice, id: "bob" });
    await expect.poll(() => calls, POLL).toEqual(["alice", "alice", "bob"]);
    rs.off("created", listener);
    await expect.poll(async () => String(await t.db.client("LIST", "TYPE", "PUBSUB")).trim(), POLL).toBe("");
    rs.once("created", listener);
    await rs.create({ ...alice, id: "carol" });
    await expect.poll(() => calls.at(-1), POLL).toBe("carol");
    await expect.poll(async () => String(await t.db.client("LIST", "TYPE", "PUBSUB")).trim(), POLL).toBe("");
    await new Promise((resolve) => rs.once("subscribed", resolve));
    await expect.poll(async () => String(await t.db.client("LIST", "TYPE", "PUBSUB")).trim(), POLL).toBe("");
  });

  test("tells when a subscription was lost and events may have been missed", async () => {
    const told: EventMap["subscribed"][] = [];
    rs.on("subscribed", (event) => told.push(event));
    await rs.create(alice);
    await expect.poll(() => told, POLL).toEqual([{ app, missed: false }]);
    await t.db.call("CLIENT", "KILL", "TYPE", "pubsub");
    await expect
      .poll(() => told, POLL)
      .toEqual([
        { app, missed: false },
        { app, missed: true },
      ]);
    const events = collect(rs, "created");
    await rs.create(alice);
    await expect.poll(() => events.length, POLL).toBe(1);
  });

  test.each([
    [
      "an engine without events",
      () => new RedisSessions({ client: t.db, wipe: 0 }).on("ended", () => {}),
      /events: true/,
    ],
    [
      "an unknown name",
      () => rs.on("end" as "ended", () => {}),
      /created, changed, rotated, ended, subscribed and error/,
    ],
    ["no listener", () => rs.on("ended", undefined as never), /must be a function/],
    ["events without an app", () => rs.events({} as never), /No app supplied/],
    ["after without a stream", () => rs.events({ app, after: "0" }), /stream: 10_000/],
    ["after of another form", () => rs.events({ app, after: "x" }), /Invalid after format/],
  ])("refuses %s", (_what, call, message) => {
    // The hint is in the stack.
    expect(call).toThrow(expect.objectContaining({ stack: expect.stringMatching(message) }));
  });
});

test("after quit, on and events are refused, and off does nothing", async () => {
  const listener = () => {};
  rs.on("ended", listener);
  await rs.quit();
  expect(() => rs.on("ended", listener)).toThrow(expect.objectContaining({ name: "unavailable" }));
  expect(() => rs.events({ app })).toThrow(expect.objectContaining({ name: "unavailable" }));
  rs.off("ended", listener);
});

describe("events", () => {
  test("iterates over the events of one app, and ends with quit", async () => {
    const seen: unknown[] = [];
    const done = (async () => {
      for await (const event of rs.events({ app })) seen.push(event);
    })();
    await expect
      .poll(async () => Number(((await t.db.pubsub("NUMSUB", "rs:{webapp}:changes")) as number[])[1]))
      .toBe(1);
    await rs.create({ ...alice, app: "another" });
    const { ref } = await rs.create(alice);
    await expect.poll(() => seen, POLL).toMatchObject([{ kind: "created", ref }]);
    await rs.quit();
    await done;
  });

  test("stops listening when the loop is left", async () => {
    const loop = (async () => {
      for await (const event of rs.events({ app })) return event;
      return undefined;
    })();
    await expect
      .poll(async () => Number(((await t.db.pubsub("NUMSUB", "rs:{webapp}:changes")) as number[])[1]))
      .toBe(1);
    await rs.create(alice);
    expect(await loop).toMatchObject({ kind: "created" });
    await expect.poll(async () => String(await t.db.client("LIST", "TYPE", "PUBSUB")).trim(), POLL).toBe("");
  });

  test.each([
    ["events from now on", {}],
    ["events of the stream", { after: "0" }],
  ])("stops listening when return is called while it waits for %s", async (_what, options) => {
    const iterator = engine({ events: { stream: 100 } }).events({ app, ...options });
    const waiting = iterator.next();
    await expect
      .poll(async () => Number(((await t.db.pubsub("NUMSUB", "rs:{webapp}:changes")) as number[])[1]))
      .toBe(1);
    await iterator.return();
    expect(await waiting).toEqual({ value: undefined, done: true });
    await expect.poll(async () => String(await t.db.client("LIST", "TYPE", "PUBSUB")).trim(), POLL).toBe("");
  });

  test("throws if the loop is too slow, after it has yielded the 10,000 events that waited", async () => {
    const told = collect(rs, "changed");
    const iterator = rs.events({ app });
    const first = iterator.next();
    await expect
      .poll(async () => Number(((await t.db.pubsub("NUMSUB", "rs:{webapp}:changes")) as number[])[1]))
      .toBe(1);
    const { ref } = await rs.create(alice);
    await first;
    const message = `1795392000000\nchanged\n${ref}\n"alice"\n`;
    for (let i = 0; i < 11_000; i++) void t.db.publish("rs:{webapp}:changes", message);
    await expect.poll(() => told.length, POLL).toBe(11_000);
    let count = 0;
    await expect(
      (async () => {
        for await (const _ of iterator) count++;
      })(),
    ).rejects.toMatchObject({ name: "unavailable", hint: expect.stringContaining("after") });
    expect(count).toBe(10_000);
  });

  test("resumes after an entry of the stream, and misses nothing while it was away or cut", async () => {
    const streaming = engine({ events: { stream: 10_000 } });
    const created = await Promise.all(Array.from({ length: 250 }, () => streaming.create(alice)));
    const refs = created.map(({ ref }) => ref);
    const seen: SessionEvent[] = [];
    for await (const event of streaming.events({ app, after: "0" })) {
      seen.push(event as SessionEvent);
      if (seen.length === 120) break;
    }
    const resumed = (async () => {
      for await (const event of streaming.events({ app, after: `${seen.at(-1)?.entry}` })) {
        seen.push(event as SessionEvent);
        if (seen.length === 251) break;
      }
    })();
    await expect.poll(() => seen.length, POLL).toBe(250);
    await t.db.call("CLIENT", "KILL", "TYPE", "pubsub");
    await streaming.kill({ app, ref: `${refs[0]}` });
    await resumed;
    expect(
      seen
        .slice(0, 250)
        .map(({ ref }) => ref)
        .toSorted(),
    ).toEqual(refs.toSorted());
    expect(seen[250]).toMatchObject({ kind: "ended", ref: refs[0], reason: "killed", at: expect.any(Number) });
  });
});

describe("the end of a session that nobody uses", () => {
  test("is told within two seconds, once on each server that listens", async () => {
    const [, heard] = await threeServers();
    const { ref } = await rs.create(alice);
    await t.db.pexpire(`rs:{webapp}:s:${ref}`, 500);
    await t.db.zadd("rs:{webapp}:expiry", Date.now() + 500, `"alice"${ref}`);
    const end = Date.now() + 500;
    for (const events of heard) await expect.poll(() => events.length, POLL).toBe(1);
    expect(heard.map(([event]) => event?.reason)).toEqual(["expired", "expired", "expired"]);
    // By Redis's clock, which is the same here.
    expect((heard[0]?.[0]?.at ?? 0) - end).toBeLessThan(2000);
    await sleep(1500);
    expect(heard.map((events) => events.length)).toEqual([1, 1, 1]);
  });

  test("costs about one look for each TTL, not one each second", async () => {
    collect(rs, "ended");
    await Promise.all(Array.from({ length: 50 }, () => rs.create(alice)));
    const commands = await t.redis.watch(() => sleep(3200));
    const scripts = commands.filter(([name]) => name?.toLowerCase() === "evalsha");
    // Each look claims nothing, so no session is checked.
    expect(scripts.length).toBeLessThan(6);
    expect(scripts.every((command) => command[2] === "1")).toBe(true);
  });

  test("is told by another wiper if the one that claimed it has crashed", async () => {
    const events = collect(rs, "ended");
    const { ref } = await rs.create(alice);
    await t.db.del(`rs:{webapp}:s:${ref}`);
    // What a wiper leaves that crashes between its two steps: the entry is postponed by the lease.
    await t.db.zadd("rs:{webapp}:expiry", Date.now() + 1000, `"alice"${ref}`);
    await expect.poll(() => events, POLL).toMatchObject([{ ref, reason: "expired" }]);
  });
});

test("three servers hear of 10,000 sessions that end in every way, each once and with the right reason", async () => {
  const [servers, heard] = await threeServers({ timeout: 20_000 });
  const expected = new Map<string, string>();
  const count = 2000;
  const create = async (i: number, options = {}) =>
    (servers[i % 3] as RedisSessions).create({ app, id: `user${i}`, ip: "::1", ...options });
  const all = await Promise.all(Array.from({ length: 5 * count }, (_, i) => create(i)));
  const group = (n: number) => all.slice(n * count, (n + 1) * count);
  // A mass logout at the end finds sessions that have expired and that no wiper has met: they are told as expired, too.
  const ends = [
    Promise.all(
      group(0).map(async ({ ref, token }, i) => {
        expected.set(ref, "killed");
        const server = servers[i % 3] as RedisSessions;
        if (i % 2) await server.kill({ app, token });
        else await server.killsoid({ app, id: `user${i}` });
      }),
    ),
    Promise.all(
      group(1).map(async ({ ref, token }, i) => {
        expected.set(ref, "replaced");
        await create(i, { id: `user${count + i}`, replaces: token });
      }),
    ),
    Promise.all(
      group(2).map(async ({ ref }, i) => {
        expected.set(ref, "limit");
        await create(i, { id: `user${2 * count + i}`, maxPerUser: 1 });
      }),
    ),
    Promise.all(
      group(3).map(async ({ ref }, i) => {
        expected.set(ref, "expired");
        await t.db.pexpire(`rs:{webapp}:s:${ref}`, 100 + i);
        await t.db.zadd("rs:{webapp}:expiry", Date.now() + 100 + i, `"user${3 * count + i}"${ref}`);
      }),
    ),
    Promise.all(
      group(4).map(async ({ token }, i) => {
        const server = servers[i % 3] as RedisSessions;
        const rotated = await server.rotate({ app, token, grace: 0 });
        expected.set(`${rotated?.ref}`, "reused");
        await server.get({ app, token: `${rotated?.token}` });
      }),
    ),
    t.db.script("FLUSH"),
  ];
  await Promise.all(ends);
  // Long after their rotation, without marks and tombstones, the old tokens are used again.
  const left = await t.db.keys("rs:{webapp}:rotated:*");
  if (left.length > 0) await t.db.del(...left);
  await Promise.all(group(4).map(({ ref }) => t.db.del(`rs:{webapp}:s:${ref}`)));
  await Promise.all(group(4).map(({ token }, i) => (servers[i % 3] as RedisSessions).get({ app, token })));

  for (const events of heard) await expect.poll(() => events.length, { timeout: 30_000 }).toBe(expected.size);
  await sleep(1500);
  for (const events of heard) {
    expect(events.length).toBe(expected.size);
    expect(new Map(events.map(({ ref, reason }) => [ref, reason]))).toEqual(expected);
  }
}, 60_000);

describe("on of a RedisStore", () => {
  test("hears of the store's sessions only, and stops with the last listener", async () => {
    const store = new RedisStore({ rs, app });
    const events: SessionEvent[] = [];
    const listener = (event: EndedEvent) => void events.push(event);
    store.on("ended", listener);
    await new Promise((resolve) => store.on("subscribed", resolve));
    await store.set("sid", { cookie: { originalMaxAge: 60_000 }, userId: "alice" } as never);
    await rs.kill({ app, ref: (await rs.create(alice)).ref });
    await store.killsoid("alice");
    await expect
      .poll(() => events, POLL)
      .toMatchObject([{ kind: "ended", app, id: "alice", ref: store.ref("sid"), reason: "killed" }]);
    store.off("ended", listener).removeAllListeners("subscribed");
    await expect.poll(async () => String(await t.db.client("LIST", "TYPE", "PUBSUB")).trim(), POLL).toBe("");
  });

  test("refuses the events of sessions if its engine has none", () => {
    const store = new RedisStore({ client: t.db });
    expect(() => store.on("ended", () => {})).toThrow(
      expect.objectContaining({ stack: expect.stringContaining("new RedisSessions({ client, events: true })") }),
    );
    expect(store.listenerCount("ended")).toBe(0);
    store.on("disconnect", () => {});
  });
});

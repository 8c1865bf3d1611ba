import { afterEach, describe, expect, test } from "vitest";
import { type MissedEvent, RedisSessions, type RedisSessionsOptions, type SessionEvent } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { tagOf, userIn } from "../support/shards.js";

const t = useEngine();
const app = "webapp";
const STREAM = "rs:{webapp}:events";

const engines: RedisSessions[] = [];

function engine(options: RedisSessionsOptions = {}): RedisSessions {
  const rs = new RedisSessions({ client: t.db, wipe: 0, events: { stream: 10_000 }, ...options });
  engines.push(rs);
  return rs;
}

afterEach(() => Promise.all(engines.splice(0).map((one) => one.quit())));

/** Creates sessions of one user, one after the other. Returns their refs. */
async function createInTurn(rs: RedisSessions, count: number, id = "alice"): Promise<string[]> {
  const refs: string[] = [];
  for (let i = 0; i < count; i++) refs.push((await rs.create({ app, id, ip: "::1" })).ref);
  return refs;
}

/** Reads this many events that come after a position. */
async function read(rs: RedisSessions, after: string, count: number): Promise<(SessionEvent | MissedEvent)[]> {
  const events: (SessionEvent | MissedEvent)[] = [];
  for await (const event of rs.events({ app, after })) {
    events.push(event);
    if (events.length === count) break;
  }
  return events;
}

const entryOf = (event: SessionEvent | MissedEvent | undefined) => `${event?.entry}`;
const refsOf = (events: (SessionEvent | MissedEvent)[]) => events.map((event) => "ref" in event && event.ref);

describe("events with after", () => {
  test.each(["x", "1795392000000", "0-0", "1-1,", "1-1,x", 5])("refuses %j", (after) => {
    expect(() => engine().events({ app, after: after as string })).toThrow("Invalid after format");
  });

  test("yields missed first if the stream was trimmed beyond that position", async () => {
    const rs = engine();
    const refs = await createInTurn(rs, 10);
    const [, second] = await read(rs, "0", 2);
    await t.db.xtrim(STREAM, "MAXLEN", 5);
    const events = await read(rs, entryOf(second), 4);
    expect(events[0]).toEqual({ kind: "missed", app, entry: expect.any(String) });
    expect(refsOf(events.slice(1))).toEqual(refs.slice(5, 8));
    // What was stored with an event after it leads on without another one.
    expect(refsOf(await read(rs, entryOf(events[3]), 2))).toEqual(refs.slice(8));
    // Who has stored only that events are missing, and was not able to check what depends on them, is told again.
    expect((await read(rs, entryOf(events[0]), 1))[0]?.kind).toBe("missed");
  });

  test("misses nothing if only earlier events were trimmed", async () => {
    const rs = engine();
    const refs = await createInTurn(rs, 10);
    const [, , third] = await read(rs, "0", 3);
    await t.db.xtrim(STREAM, "MAXLEN", 8);
    expect(refsOf(await read(rs, entryOf(third), 7))).toEqual(refs.slice(3));
    expect(refsOf(await read(rs, "0", 8))).toEqual(refs.slice(2));
  });

  test("yields missed once if the stream was lost, and then what comes", async () => {
    const rs = engine();
    await createInTurn(rs, 3);
    const [, , third] = await read(rs, "0", 3);
    await t.db.del(STREAM);
    const reading = read(rs, entryOf(third), 3);
    await expect.poll(() => t.db.pubsub("CHANNELS")).toEqual(["rs:{webapp}:changes"]);
    const refs = await createInTurn(rs, 2);
    const events = await reading;
    expect(events[0]?.kind).toBe("missed");
    expect(refsOf(events.slice(1))).toEqual(refs);
  });

  test("yields missed if the loop is slower than the stream is trimmed", async () => {
    const rs = engine();
    const refs = await createInTurn(rs, 150);
    const events: (SessionEvent | MissedEvent)[] = [];
    for await (const event of rs.events({ app, after: "0" })) {
      if (events.push(event) === 1) await t.db.xtrim(STREAM, "MAXLEN", 20);
      if (refsOf([event])[0] === refs.at(-1)) break;
    }
    const at = events.findIndex(({ kind }) => kind === "missed");
    // It had read a page before it was slow.
    expect(at).toBeGreaterThan(99);
    expect(at).toBeLessThan(131);
    expect(refsOf(events.toSpliced(at, 1))).toEqual([...refs.slice(0, at), ...refs.slice(130)]);
  });

  test.each([{}, { after: "0" }])("with %j fail in a process with another number of shards", async (options) => {
    await createInTurn(engine(), 1);
    // It would hear and read other shards.
    const events = engine({ shards: 4 }).events({ app, ...options });
    await expect(events.next()).rejects.toMatchObject({
      name: "redisError",
      message: expect.stringMatching(/1 shard\b/),
    });
  });
});

describe("events of several shards", () => {
  const shards = 4;

  test("come in the order of each shard, those of a backlog by time, and go on at the position of each", async () => {
    const rs = engine({ shards });
    const expected: string[] = [];
    for (let i = 0; i < 300; i++) {
      // One after the other, so that their times have this order.
      const { ref } = await rs.create({ app, id: userIn(i % 7 === 0 ? i % shards : 1, shards), ip: "::1" });
      expected.push(ref);
    }
    const seen = await read(rs, "0", 130);
    seen.push(...(await read(rs, entryOf(seen.at(-1)), 170)));
    const times = seen.map((event) => ("at" in event ? event.at : 0));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(refsOf(seen).toSorted()).toEqual(expected.toSorted());
  });

  test("that happen while the loop waits are yielded, whichever shard has them", async () => {
    const rs = engine({ shards });
    const events = rs.events({ app, after: "0" });
    for (const shard of [0, 3, 3, 1]) {
      const next = events.next();
      const { ref } = await rs.create({ app, id: userIn(shard, shards), ip: "::1" });
      expect((await next).value).toMatchObject({
        kind: "created",
        ref,
        entry: expect.stringMatching(/^[\d-]+(,[\d-]+){3}$/),
      });
    }
    await events.return();
  });

  test("cost few commands when they come fast", async () => {
    const rs = engine({ shards: 16 });
    const reading = read(rs, "0", 100);
    const start = performance.now();
    const commands = await t.redis.watch(async () => {
      await createInTurn(rs, 100);
      await reading;
    });
    const reads = commands.filter(([name]) => name === "xrange").length;
    // All shards about every 16 ms, and at the beginning and the end.
    expect(reads).toBeLessThan(performance.now() - start + 3 * 16);
  });

  test("yield missed once if several streams were trimmed, and repeat nothing of the others", async () => {
    const rs = engine({ shards });
    const refs = await Promise.all([0, 1, 2, 3].map((shard) => createInTurn(rs, 10, userIn(shard, shards))));
    const seen = await read(rs, "0", 40);
    const more = await Promise.all([0, 1, 2, 3].map((shard) => createInTurn(rs, 10, userIn(shard, shards))));
    for (const shard of [0, 1]) await t.db.xtrim(`rs:{${tagOf(app, shard, shards)}}:events`, "MAXLEN", 5);
    const events = await read(rs, entryOf(seen.at(-1)), 31);
    expect(events[0]?.kind).toBe("missed");
    expect(refsOf(seen).toSorted()).toEqual(refs.flat().toSorted());
    const left = more.flatMap((ofShard, shard) => ofShard.slice(shard < 2 ? 5 : 0));
    expect(refsOf(events.slice(1)).toSorted()).toEqual(left.toSorted());
  });

  test.each([1, 16] as const)("of a position in 4 shards fail if the app has %i", async (now) => {
    await createInTurn(engine({ shards }), 1);
    const position = entryOf((await read(engine({ shards }), "0", 1))[0]);
    await t.db.flushdb();
    const rs = engine({ shards: now });
    await createInTurn(rs, 1);
    await expect(rs.events({ app, after: position }).next()).rejects.toMatchObject({
      name: "invalidValue",
      message: `events: after is a position in 4 shards, but the app "webapp" has ${now}`,
      hint: expect.stringContaining('after: "0"'),
    });
  });
});

describe("events without after", () => {
  test.each([1, 16] as const)("yield missed once when a lost connection is back, with %i shards", async (shards) => {
    const rs = engine({ events: true, shards });
    const told: unknown[] = [];
    rs.on("subscribed", (event) => told.push(event));
    await createInTurn(rs, 1);
    const iterator = rs.events({ app });
    const first = iterator.next();
    await expect.poll(() => told).toEqual([{ app, missed: false }]);
    await t.db.call("CLIENT", "KILL", "TYPE", "pubsub");
    expect((await first).value).toEqual({ kind: "missed", app });
    const [ref] = await createInTurn(rs, 1);
    expect((await iterator.next()).value).toMatchObject({ kind: "created", ref });
    expect(told).toHaveLength(2);
    await iterator.return();
  });
});

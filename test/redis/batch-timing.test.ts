import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import { Batch } from "../../src/redis/batch.js";
import { Deadlines } from "../../src/redis/deadlines.js";
import { type AppKeys, CHUNK, UNDONE } from "../../src/redis/operation.js";
import { app, callOf, replyError, ScriptedClient, sharedOperation, type TestCall } from "../support/scripted-client.js";

/** When Batch sends what, with a client whose answers the test decides. batch.test.ts has the same with a real Redis. */

const get = sharedOperation("get");
const set = sharedOperation("set");
const other: AppKeys = {
  base: "rs:{other}:",
  index: ["rs:{other}:index"],
  session: (ref) => `rs:{other}:${ref}`,
};

let client: ScriptedClient;
let deadlines: Deadlines;
let batch: Batch;

function setUp(timeout = 10_000): void {
  client = new ScriptedClient();
  deadlines = new Deadlines(client.asClient, timeout);
  batch = new Batch(client.asClient, deadlines);
}

beforeEach(() => setUp());

/** Makes a call. `session` is "s" unless it is given. */
function add(operation: typeof get, value: string | number, session = "s", keys = app): TestCall {
  const call = callOf(operation, { ref: session, value }, keys);
  batch.add(call);
  return call;
}

/** Waits until the waiting calls of this iteration were sent. */
function flush(): Promise<void> {
  return new Promise(setImmediate);
}

/** Answers the command at this position, and waits until the answer was handled. */
async function answer(position: number, reply: unknown): Promise<void> {
  const sent = client.sent[position];
  if (sent === undefined) throw new Error(`Command ${position} was not sent`);
  if (reply instanceof Error) sent.reject(reply);
  else sent.resolve(reply);
  // A reply passes over several promises.
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

describe("add", () => {
  test("sends calls at once that are made one after another", async () => {
    for (let n = 0; n < 3; n++) {
      add(get, n);
      expect(client.values).toHaveLength(n + 1);
      await answer(n, "");
    }
  });

  test("sends calls in one run at the end of the iteration while another is in flight", async () => {
    add(get, 0, "a");
    add(get, 1, "b");
    add(get, 2, "c");
    expect(client.values).toEqual([[0]]);
    await flush();
    expect(client.values).toEqual([[0], [1, 2]]);
    expect(client.writes).toEqual([]);
  });

  test("sends different operations in one write", async () => {
    add(get, 0, "a");
    add(get, 1, "b");
    add(set, 2, "c");
    add(get, 3, "d", other);
    await flush();
    expect(client.values).toEqual([[0], [1], [2], [3]]);
    expect(client.writes).toEqual([3]);
  });

  test("sends calls of two operations in two runs, though they are made in turns", async () => {
    add(get, 0, "x");
    for (const session of ["a", "b", "c"]) {
      add(get, `get ${session}`, session);
      add(set, `set ${session}`, `other ${session}`);
    }
    await flush();
    expect(client.values).toEqual([[0], ["get a", "get b", "get c"], ["set a", "set b", "set c"]]);
  });

  test("lets no call overtake an operation that concerns more than its session", async () => {
    const { mayLeaveUndone: _, ...kill } = sharedOperation("kill");
    add(get, 0, "x");
    add(get, 1, "a");
    add(kill, 2, "b");
    add(get, 3, "c");
    add(kill, 4, "d");
    await flush();
    expect(client.values).toEqual([[0], [1], [2], [3], [4]]);
  });

  test("lets calls wait after several were sent together, until one is sent alone", async () => {
    add(get, 0, "a");
    add(get, 1, "b");
    add(get, 2, "c");
    await flush();
    await answer(0, "");
    await answer(1, ["", ""]);
    add(get, 3, "d");
    expect(client.values).toHaveLength(2);
    await flush();
    expect(client.values).toEqual([[0], [1, 2], [3]]);
    await answer(2, "");
    add(get, 4, "e");
    expect(client.values).toHaveLength(4);
  });

  test("lets calls wait after two runs were sent together, each of one call", async () => {
    add(get, 0, "a");
    add(get, 1, "b");
    add(set, 2, "c");
    await flush();
    await answer(0, "");
    await answer(1, "");
    await answer(2, "");
    add(get, 3, "d");
    expect(client.values).toHaveLength(3);
  });

  test("sends a call at once after the last one has failed", async () => {
    add(get, 0);
    await answer(0, replyError("OOM command not allowed"));
    add(get, 1);
    expect(client.values).toEqual([[0], [1]]);
  });

  test.each([
    ["answered", ""],
    ["failed", new Error("Connection is closed.")],
  ])("sends calls at once again after two runs have %s and one call was sent alone", async (_, reply) => {
    for (const [n, operation] of [get, get, set].entries()) add(operation, n, `s${n}`);
    await flush();
    for (const position of [0, 1, 2]) await answer(position, reply);
    add(get, 3, "d");
    await flush();
    await answer(3, "");
    add(get, 4, "e");
    expect(client.values).toEqual([[0], [1], [2], [3], [4]]);
  });

  test("does not let a call overtake a waiting one after the call in flight was answered", async () => {
    add(get, 0);
    add(set, 1);
    await answer(0, "");
    add(get, 2);
    expect(client.values).toEqual([[0]]);
    await flush();
    expect(client.values).toEqual([[0], [1], [2]]);
  });

  test("sends a full run before the end of the iteration", async () => {
    add(get, "first", "a");
    for (let n = 0; n < CHUNK; n++) add(get, n, `s${n}`);
    expect(client.values.map(({ length }) => length)).toEqual([1, CHUNK]);
    add(get, "more", "m");
    await flush();
    expect(client.values.map(({ length }) => length)).toEqual([1, CHUNK, 1]);
  });

  test("does not send a waiting call after its deadline", async () => {
    setUp(20);
    add(get, 0, "a");
    const late = add(get, 1, "b");
    // The process is busy past the deadline.
    for (const end = performance.now() + 30; performance.now() < end; );
    await flush();
    expect(client.values).toEqual([[0]]);
    await expect.poll(() => late.ends).toEqual(["timeout"]);
  });
});

describe("calls on one session", () => {
  test("wait for a run that may leave an earlier call undone", async () => {
    add(get, 0, "x");
    const served = add(get, 1, "a");
    const undone = add(get, 2, "b");
    const held = add(set, 3, "b");
    await flush();
    // The call on b is sent neither in the run nor in a run after it.
    expect(client.values).toEqual([[0], [1, 2]]);
    await answer(1, ["one", UNDONE]);
    expect(client.values).toEqual([[0], [1, 2], [2]]);
    expect(served.ends).toEqual(["one"]);
    await answer(2, "two");
    expect(undone.ends).toEqual(["two"]);
    expect(client.values).toEqual([[0], [1, 2], [2], [3]]);
    await answer(3, "three");
    expect(held.ends).toEqual(["three"]);
    expect(deadlines.count).toBe(1);
  });

  test("keep their deadline when a script left them undone", async () => {
    setUp(50);
    add(get, 0, "x");
    add(get, 1, "a");
    const undone = add(get, 2, "b");
    await flush();
    await answer(1, ["one", UNDONE]);
    await expect.poll(() => undone.ends).toEqual(["timeout"]);
  });

  test("do not wait for the first call of a run, which is always served", async () => {
    add(get, 0, "x");
    add(get, 1, "a");
    add(get, 2, "b");
    add(set, 3, "a");
    await flush();
    expect(client.values).toEqual([[0], [1, 2], [3]]);
  });

  test("join the run that waits, if no other call is held", async () => {
    add(get, 0, "x");
    add(get, 1, "a");
    add(get, 2, "b");
    add(get, 3, "b");
    await flush();
    expect(client.values).toEqual([[0], [1, 2, 3]]);
  });

  test("do not join a run that was sent", async () => {
    add(get, 0, "x");
    add(get, 1, "a");
    add(get, 2, "b");
    await flush();
    add(get, 3, "b");
    await flush();
    expect(client.values).toEqual([[0], [1, 2]]);
    await answer(1, ["", ""]);
    expect(client.values).toEqual([[0], [1, 2], [3]]);
  });

  test("do not join the run that waits past a held call", async () => {
    add(get, 0, "x");
    add(get, 1, "a");
    add(get, 2, "b");
    add(set, 3, "b");
    add(get, 4, "b");
    await flush();
    expect(client.values).toEqual([[0], [1, 2]]);
    await answer(1, ["", ""]);
    expect(client.values).toEqual([[0], [1, 2], [3]]);
    await answer(2, "");
    expect(client.values).toEqual([[0], [1, 2], [3], [4]]);
  });

  test("do not join an earlier run past a call on the session", async () => {
    add(get, 0, "x");
    add(get, 1, "a");
    add(set, 2, "b");
    add(get, 3, "b");
    await flush();
    expect(client.values).toEqual([[0], [1], [2], [3]]);
  });

  test("wait for a call that has joined an earlier run, which may leave it undone", async () => {
    add(get, 0, "x");
    add(get, 1, "a");
    add(set, 2, "b");
    add(get, 3, "c");
    const held = add(set, 4, "c");
    await flush();
    expect(client.values).toEqual([[0], [1, 3], [2]]);
    await answer(1, ["", UNDONE]);
    await answer(2, "");
    expect(client.values).toEqual([[0], [1, 3], [2], [3]]);
    await answer(3, "");
    expect(client.values).toEqual([[0], [1, 3], [2], [3], [4]]);
    await answer(4, "four");
    expect(held.ends).toEqual(["four"]);
  });

  test("join the held run of the same operation", async () => {
    add(get, 0, "x");
    add(get, 1, "a");
    add(get, 2, "b");
    add(set, 3, "b");
    add(set, 4, "b");
    await flush();
    await answer(1, ["", ""]);
    expect(client.values).toEqual([[0], [1, 2], [3, 4]]);
  });

  test("that were held on several sessions are sent in one run, which blocks later calls", async () => {
    add(get, 0, "x");
    for (const session of ["a", "b", "c"]) add(get, 1, session);
    const held = ["b", "c"].map((session) => add(set, session, session));
    await flush();
    await answer(1, ["", "", ""]);
    expect(client.values).toEqual([[0], [1, 1, 1], ["b", "c"]]);
    const later = add(get, "later", "c");
    await flush();
    expect(client.values).toHaveLength(3);
    await answer(2, ["b", UNDONE]);
    await answer(3, "c");
    expect(held.map(({ ends }) => ends)).toEqual([["b"], ["c"]]);
    await answer(4, "later");
    expect(later.ends).toEqual(["later"]);
    // All have ended but the first call.
    expect(deadlines.count).toBe(1);
  });

  test("that were held several times on several sessions are sent in one run", async () => {
    add(get, 0, "x");
    for (const session of ["x", "a", "b", "c"]) add(get, 1, session);
    await flush();
    for (const value of [2, 3]) for (const session of ["a", "b", "c"]) add(get, value, session);
    await answer(1, ["", "", "", ""]);
    expect(client.values).toEqual([[0], [1, 1, 1, 1], [2, 3, 2, 3, 2, 3]]);
  });

  test("that were held are sent in one run for each operation, though they were made in turns", async () => {
    add(get, 0, "x");
    for (const session of ["x", "a", "b", "c", "d"]) add(get, 1, session);
    await flush();
    for (const session of ["a", "c"]) add(get, `get ${session}`, session);
    for (const session of ["b", "d"]) add(set, `set ${session}`, session);
    await answer(1, ["", "", "", "", ""]);
    expect(client.values.slice(2)).toEqual([
      ["get a", "get c"],
      ["set b", "set d"],
    ]);
  });

  test("do not wait for a run whose script leaves no call undone", async () => {
    const { mayLeaveUndone: _, ...kill } = sharedOperation("kill");
    add(kill, 0, "x");
    add(kill, 1, "a");
    add(kill, 2, "b");
    await flush();
    add(get, 3, "b");
    await flush();
    expect(client.values).toEqual([[0], [1, 2], [3]]);
  });

  test("that were held behind a released call wait for it", async () => {
    add(get, 0, "x");
    add(get, 1, "a");
    add(get, 2, "b");
    add(set, 3, "b");
    add(get, 4, "b");
    await flush();
    await answer(1, ["", ""]);
    // The released call 3 is in flight: 5 must neither be sent at once nor before 4.
    add(get, 5, "b");
    await flush();
    expect(client.values).toEqual([[0], [1, 2], [3]]);
    await answer(2, "");
    expect(client.values).toEqual([[0], [1, 2], [3], [4, 5]]);
  });
});

describe("an error of Redis", () => {
  test("makes a run be sent again with the source if Redis does not have the script", async () => {
    const call = add(get, 0);
    await answer(0, replyError("NOSCRIPT No matching script."));
    expect(client.sent.map(({ name, args }) => [name, args[0]])).toEqual([
      ["evalsha", "sha of get"],
      ["eval", "source of get"],
    ]);
    await answer(1, "zero");
    expect(call.ends).toEqual(["zero"]);
  });

  test("makes a run be sent again with the source when the connection was lost in between", async () => {
    add(get, 0);
    client.status = "connecting";
    await answer(0, replyError("NOSCRIPT No matching script."));
    expect(client.values).toHaveLength(1);
    client.status = "ready";
    client.emit("ready");
    expect(client.sent.at(-1)).toMatchObject({ name: "eval" });
  });

  test("does not make a run be sent again after its deadline", async () => {
    setUp(20);
    const call = add(get, 0);
    for (const end = performance.now() + 30; performance.now() < end; );
    await answer(0, replyError("NOSCRIPT No matching script."));
    expect(client.sent).toHaveLength(1);
    await expect.poll(() => call.ends).toEqual(["timeout"]);
  });

  test("fails the calls of the run, and ends their deadline", async () => {
    const call = add(get, 0);
    await answer(0, replyError("OOM command not allowed"));
    expect(call.ends).toEqual(["redisError"]);
    expect(client.sent).toHaveLength(1);
    expect(deadlines.count).toBe(0);
  });

  test("ends calls that were sent in one write by themselves", async () => {
    add(get, 0, "a");
    const calls = [add(get, 1, "b"), add(set, 2, "c")];
    await flush();
    await answer(2, new Error("Connection is closed."));
    expect(calls.map(({ ends }) => ends)).toEqual([[], ["unavailable"]]);
    await answer(1, "one");
    expect(calls.map(({ ends }) => ends)).toEqual([["one"], ["unavailable"]]);
  });

  test.each(["TRYAGAIN moving", "CLUSTERDOWN moving"])(
    "%s makes a run be sent again after a pause to a Cluster",
    async (message) => {
      client.isCluster = true;
      const call = add(get, 0);
      await answer(0, replyError(message));
      expect(client.sent).toHaveLength(1);
      await expect.poll(() => client.sent.length).toBe(2);
      await answer(1, "zero");
      expect(call.ends).toEqual(["zero"]);
    },
  );

  test("TRYAGAIN fails a call for which a pause would be too long", async () => {
    setUp(40);
    client.isCluster = true;
    const call = add(get, 0);
    await answer(0, replyError("TRYAGAIN moving"));
    expect(call.ends).toEqual(["unavailable"]);
  });

  test("TRYAGAIN fails a call to a server that is not a Cluster", async () => {
    const call = add(get, 0);
    await answer(0, replyError("TRYAGAIN moving"));
    expect(call.ends).toEqual(["unavailable"]);
  });
});

describe("while the gate is closed", () => {
  test("holds calls and sends them when the client is ready", async () => {
    client.status = "connecting";
    add(get, 0, "a");
    add(get, 1, "b");
    add(set, 2, "c");
    await flush();
    expect(client.values).toEqual([]);
    client.status = "ready";
    client.emit("ready");
    expect(client.values.flat()).toEqual(expect.arrayContaining([0, 1, 2]));
  });

  test("opens the gate with an answer, even an error", async () => {
    setUp(30);
    const call = add(get, 0);
    await expect.poll(() => call.ends).toEqual(["timeout"]);
    add(get, 1);
    await flush();
    expect(client.values).toEqual([[0]]);
    await answer(0, replyError("WRONGTYPE wrong"));
    expect(client.values).toEqual([[0], [1]]);
  });

  test("does not open the gate with an error of ioredis", async () => {
    setUp(30);
    const call = add(get, 0);
    await expect.poll(() => call.ends).toEqual(["timeout"]);
    add(get, 1);
    await flush();
    await answer(0, new Error("Connection is closed."));
    expect(client.values).toEqual([[0]]);
  });

  test("fails a held call with the error of ioredis", async () => {
    client.status = "connecting";
    const call = add(get, 0);
    await answer(0, new Error("Connection is closed."));
    expect(call.ends).toEqual(["unavailable"]);
    expect(deadlines.count).toBe(0);
  });

  test("closes the gate when one of several calls times out", async () => {
    setUp(30);
    add(get, 0, "a");
    const call = add(get, 1, "b");
    add(set, 2, "c");
    await flush();
    await answer(0, "");
    await expect.poll(() => call.ends).toEqual(["timeout"]);
    add(get, 3, "d");
    await flush();
    await sleep(5);
    expect(client.values).toEqual([[0], [1], [2]]);
  });
});

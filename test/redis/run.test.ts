import { describe, expect, test } from "vitest";
import { SessionError } from "../../src/errors.js";
import { CHUNK, UNDONE } from "../../src/redis/operation.js";
import { Run } from "../../src/redis/run.js";
import { app, callOf, sharedOperation, type TestCall } from "../support/scripted-client.js";

const get = sharedOperation("get");
const set = sharedOperation("set");

function runOf(...calls: [TestCall, ...TestCall[]]): Run {
  const [first, ...others] = calls;
  const run = new Run(first, 1000);
  for (const call of others) expect(run.tryAdd(call)).toBe(true);
  return run;
}

function call(value: string | number, session = "s"): TestCall {
  return callOf(get, { ref: session, value });
}

function canAdd(run: Run, added: TestCall): boolean {
  return run.tryAdd(added);
}

describe("tryAdd", () => {
  test("appends the session key and the arguments of the call", () => {
    const run = runOf(call(1, "a"), call(2, "b"));
    expect(run.keys).toEqual(["rs:{app}:index", "rs:{app}:a", "rs:{app}:b"]);
    expect(run.args).toEqual(["", 1, 2]);
    expect(run.calls.map(({ input }) => input.ref)).toEqual(["a", "b"]);
  });

  test("refuses a call that the run cannot serve", () => {
    const run = runOf(call(1));
    expect(canAdd(run, callOf(set, { ref: "s", value: 2 }))).toBe(false);
    expect(canAdd(run, callOf(get, { ref: "s", value: 2 }, { ...app }))).toBe(false);
    expect(canAdd(run, callOf(get, { ref: "s", value: 2, shared: "other" }))).toBe(false);
    expect(run.args).toEqual(["", 1]);
    const { common: _, ...alone } = get;
    expect(canAdd(runOf(callOf(alone, { ref: "s", value: 1 })), callOf(alone, { ref: "s", value: 2 }))).toBe(false);
  });

  test("refuses a call when the run has failed", () => {
    const run = runOf(call(1));
    run.fail(new SessionError("timeout", "late"));
    expect(canAdd(run, call(2))).toBe(false);
  });

  test("refuses a call when the run has the maximum number of sessions", () => {
    const run = runOf(call(0), ...Array.from({ length: CHUNK - 1 }, (_, n) => call(n + 1)));
    expect(run.isFull).toBe(true);
    expect(canAdd(run, call("more"))).toBe(false);
  });

  test("refuses a call when the run has the maximum number of characters", () => {
    const run = runOf(call(1), call("x".repeat(64 * 1024)));
    expect(run.isFull).toBe(true);
    expect(canAdd(run, call(2))).toBe(false);
  });
});

test("mayLeaveUndone is true if the script may leave calls after the first one undone", () => {
  expect(runOf(call(1)).mayLeaveUndone).toBe(false);
  expect(runOf(call(1), call(2)).mayLeaveUndone).toBe(true);
  const { mayLeaveUndone: _, ...kill } = sharedOperation("kill");
  const ended = (value: number) => callOf(kill, { ref: "s", value });
  expect(runOf(ended(1), ended(2)).mayLeaveUndone).toBe(false);
});

describe("absorb", () => {
  test("adds the calls of a run whose deadline is close", () => {
    const run = runOf(call(1, "a"));
    expect(run.absorb(new Run(call(2, "b"), 1100))).toBe(true);
    expect(run.absorb(runOf(call(3, "c"), call(4, "d")))).toBe(true);
    expect(run.args).toEqual(["", 1, 2, 3, 4]);
    expect(run.keys).toEqual(["rs:{app}:index", "rs:{app}:a", "rs:{app}:b", "rs:{app}:c", "rs:{app}:d"]);
  });

  test("refuses a run whose deadline is not close, and a run that it cannot serve", () => {
    const run = runOf(call(1));
    expect(run.absorb(new Run(call(2), 1101))).toBe(false);
    expect(run.absorb(new Run(call(2), 899))).toBe(false);
    expect(run.absorb(runOf(callOf(set, { ref: "s", value: 2 })))).toBe(false);
    expect(run.absorb(runOf(callOf(get, { ref: "s", value: 2, shared: "other" })))).toBe(false);
    expect(run.args).toEqual(["", 1]);
  });

  test("refuses a run with which it would have too many sessions or characters", () => {
    const calls = (count: number) => runOf(call(0), ...Array.from({ length: count - 1 }, (_, n) => call(n + 1)));
    const run = calls(CHUNK - 2);
    expect(run.absorb(calls(3))).toBe(false);
    expect(run.absorb(calls(2))).toBe(true);
    const long = () => runOf(call("x".repeat(40 * 1024)));
    expect(long().absorb(long())).toBe(false);
  });
});

describe("succeed", () => {
  test("ends each call with its own reply", () => {
    const calls: [TestCall, TestCall] = [call(1), call(2)];
    const run = runOf(...calls);
    let ended = 0;
    run.onEnd = () => ended++;
    expect(run.succeed(["one", "two"])).toBeUndefined();
    expect(calls.map(({ ends }) => ends)).toEqual([["one"], ["two"]]);
    expect(ended).toBe(1);
  });

  test("ends a single call with the whole reply", () => {
    const single = call(1);
    expect(runOf(single).succeed(["one", "two"])).toBeUndefined();
    expect(single.ends).toEqual([["one", "two"]]);
  });

  test.each([
    ["a number", UNDONE],
    ["a string", `${UNDONE}`],
  ])("returns a run of the calls that were left undone (%s)", (_, reply) => {
    const calls: [TestCall, ...TestCall[]] = [call(1, "a"), call(2, "b"), call(3, "c")];
    const run = runOf(...calls);
    let ended = 0;
    run.onEnd = () => ended++;
    const undone = run.succeed(["one", reply, reply]);
    expect(undone?.keys).toEqual(["rs:{app}:index", "rs:{app}:b", "rs:{app}:c"]);
    expect(undone?.args).toEqual(["", 2, 3]);
    expect(undone?.deadline).toBe(1000);
    expect(calls.map(({ ends }) => ends)).toEqual([["one"], [], []]);
    // The run goes on in the other.
    expect(ended).toBe(0);
  });

  test("does not take the first reply for an undone call, since a script always serves that", () => {
    const calls: [TestCall, TestCall] = [call(1), call(2)];
    expect(runOf(...calls).succeed([UNDONE, "two"])).toBeUndefined();
    expect(calls.map(({ ends }) => ends)).toEqual([[UNDONE], ["two"]]);
  });

  test("rejects only the call whose reply is an error", () => {
    const calls: [TestCall, TestCall] = [call(1), call(2)];
    runOf(...calls).succeed([new Error("ERR broken"), "two"]);
    expect(calls.map(({ ends }) => ends)).toEqual([["redisError"], ["two"]]);
  });

  test.each(["QUEUED", "text", null])("rejects all calls when the reply is %j", (reply) => {
    const calls: [TestCall, TestCall] = [call(1), call(2)];
    const run = runOf(...calls);
    let ended = 0;
    run.onEnd = () => ended++;
    expect(run.succeed(reply)).toBeUndefined();
    expect(calls.map(({ ends }) => ends)).toEqual([["redisError"], ["redisError"]]);
    expect(ended).toBe(1);
  });

  test("rejects a single call that was queued in a MULTI", () => {
    const single = call(1);
    runOf(single).succeed("QUEUED");
    expect(single.ends).toEqual(["redisError"]);
  });
});

describe("fail", () => {
  test("rejects all calls", () => {
    const calls: [TestCall, TestCall] = [call(1), call(2)];
    const run = runOf(...calls);
    let ended = 0;
    run.onEnd = () => ended++;
    run.fail(new SessionError("timeout", "late"));
    expect(calls.map(({ ends }) => ends)).toEqual([["timeout"], ["timeout"]]);
    expect(ended).toBe(1);
  });
});

import { beforeEach, describe, expect, test } from "vitest";
import { SessionError } from "../../src/errors.js";
import { CallOrder } from "../../src/redis/call-order.js";
import { UNDONE } from "../../src/redis/operation.js";
import { keysOf, Run } from "../../src/redis/run.js";
import { callOf, sharedOperation } from "../support/scripted-client.js";

const get = sharedOperation("get");
const [a, b] = ["a", "b"];

let released: Run[][];
let order: CallOrder;

beforeEach(() => {
  released = [];
  order = new CallOrder((runs) => released.push(runs));
});

/** A run of one call on each of the sessions. */
function runOn(...sessions: [string, ...string[]]): Run {
  const [first, ...others] = sessions.map((session) => callOf(get, { ref: session, value: 0 }));
  const run = new Run(first as NonNullable<typeof first>, performance.now() + 10_000);
  for (const call of others) run.tryAdd(call, keysOf(call));
  return run;
}

describe("block", () => {
  test("makes a run the blocker of a session until it has ended", () => {
    const run = runOn("a", "b");
    order.block(run, 0);
    expect([order.blockerOf(a), order.blockerOf(b)]).toEqual([run, run]);
    run.succeed(["", ""]);
    expect([order.blockerOf(a), order.blockerOf(b)]).toEqual([undefined, undefined]);
  });

  test("can leave out the first call of a run", () => {
    order.block(runOn("a", "b"), 1);
    expect([order.blockerOf(a), order.blockerOf(b)]).toEqual([undefined, expect.any(Run)]);
  });

  test("can be repeated for calls that were added since", () => {
    const run = runOn("a");
    order.block(run, 0);
    expect(order.blockerOf(b)).toBeUndefined();
    const added = callOf(get, { ref: "b", value: 0 });
    run.tryAdd(added, keysOf(added));
    order.block(run, 0);
    expect(order.blockerOf(b)).toBe(run);
    run.succeed(["", ""]);
    expect([order.blockerOf(a), order.blockerOf(b)]).toEqual([undefined, undefined]);
  });

  test("ends when the run fails", () => {
    const run = runOn("a");
    order.block(run, 0);
    run.fail(new SessionError("timeout", "late"));
    expect(order.blockerOf(a)).toBeUndefined();
  });

  test("of a later run is kept when an earlier run ends", () => {
    const [earlier, later] = [runOn("a"), runOn("a")];
    order.block(earlier, 0);
    order.block(later, 0);
    order.hold(runOn("a"), a);
    earlier.succeed("");
    expect(order.blockerOf(a)).toBe(later);
    expect(released).toEqual([]);
  });
});

describe("hold", () => {
  test("releases one run of each session, in the order of the calls", () => {
    const [blocker, first, second, other] = [runOn("a", "b"), runOn("a"), runOn("a"), runOn("b")];
    order.block(blocker, 0);
    order.hold(first, a);
    order.hold(second, a);
    order.hold(other, b);
    expect(order.lastHeldOn(a)).toBe(second);
    blocker.succeed(["", ""]);
    expect(released).toEqual([[first, other]]);
    expect(order.lastHeldOn(a)).toBe(second);
    expect(order.lastHeldOn(b)).toBeUndefined();
  });

  test("skips runs whose deadline has passed", () => {
    const [blocker, late, inTime] = [runOn("a"), new Run(callOf(get, { ref: "a", value: 0 }), 0), runOn("a")];
    order.block(blocker, 0);
    order.hold(late, a);
    order.hold(inTime, a);
    blocker.succeed("");
    expect(released).toEqual([[inTime]]);
  });
});

describe("continueWith", () => {
  test("keeps the sessions of undone calls blocked, and releases the others", () => {
    const blocker = runOn("a", "b");
    const [heldOnA, heldOnB] = [runOn("a"), runOn("b")];
    order.block(blocker, 0);
    order.hold(heldOnA, a);
    order.hold(heldOnB, b);
    const undone = blocker.succeed(["", UNDONE]) as Run;
    order.continueWith(blocker, undone);
    expect(released).toEqual([[heldOnA]]);
    expect(order.blockerOf(b)).toBe(undone);
    undone.succeed("");
    expect(released).toEqual([[heldOnA], [heldOnB]]);
  });
});

import { beforeEach, describe, expect, test } from "vitest";
import { SessionError } from "../../src/errors.js";
import { CallOrder } from "../../src/redis/call-order.js";
import { UNDONE } from "../../src/redis/operation.js";
import { Run } from "../../src/redis/run.js";
import { callOf, sharedOperation, type TestCall } from "../support/scripted-client.js";

const get = sharedOperation("get");
/** A call on each of two sessions. */
let a: TestCall;
let b: TestCall;
let released: Run[][];
let order: CallOrder;

beforeEach(() => {
  [a, b] = [callOn("a"), callOn("b")];
  released = [];
  order = new CallOrder((runs) => released.push(runs));
});

function callOn(session: string): TestCall {
  return callOf(get, { ref: session, value: 0 });
}

/** A run of one call on each of the sessions. */
function runOn(...[session, ...sessions]: [string, ...string[]]): Run {
  const run = new Run(callOn(session), performance.now() + 10_000);
  const others = sessions.map(callOn);
  for (const call of others) run.tryAdd(call);
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
    run.tryAdd(callOn("b"));
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

  test("ends once, though a reply comes after the run has failed", () => {
    const [failed, other] = [runOn("a"), runOn("b")];
    order.block(failed, 0);
    order.block(other, 0);
    failed.fail(new SessionError("timeout", "late"));
    failed.succeed("");
    expect(order.isIdle).toBe(false);
    other.succeed("");
    expect(order.isIdle).toBe(true);
  });

  test("ignores a run that has failed, because nothing would end its blocks", () => {
    const failed = runOn("a");
    failed.fail(new SessionError("timeout", "late"));
    order.block(failed, 0);
    expect([order.blockerOf(a), order.isIdle]).toEqual([undefined, true]);
  });

  test("of a later run is kept when an earlier run ends", () => {
    const [earlier, later] = [runOn("a"), runOn("a")];
    order.block(earlier, 0);
    order.block(later, 0);
    order.hold(runOn("a"));
    earlier.succeed("");
    expect(order.blockerOf(a)).toBe(later);
    expect(released).toEqual([]);
  });
});

describe("hold", () => {
  test("releases one run of each session, in the order of the calls", () => {
    const [blocker, first, second, other] = [runOn("a", "b"), runOn("a"), runOn("a"), runOn("b")];
    order.block(blocker, 0);
    order.hold(first);
    order.hold(second);
    order.hold(other);
    expect(order.lastHeldFor(a)).toBe(second);
    blocker.succeed(["", ""]);
    expect(released).toEqual([[first, other]]);
    expect(order.lastHeldFor(a)).toBe(second);
    expect(order.lastHeldFor(b)).toBeUndefined();
  });

  test("skips runs whose deadline has passed", () => {
    const [blocker, late, inTime] = [runOn("a"), new Run(callOn("a"), 0), runOn("a")];
    order.block(blocker, 0);
    order.hold(late);
    order.hold(inTime);
    blocker.succeed("");
    expect(released).toEqual([[inTime]]);
  });
});

describe("the sessions that it knows", () => {
  /** Lets a run on a session begin and end. */
  function use(session: string): void {
    const run = runOn(session);
    order.block(run, 0);
    run.succeed("");
  }

  test("are forgotten without a blocker, but a call that was made before still finds the same one as later calls", () => {
    use("a");
    const blocked = runOn("b");
    order.block(blocked, 0);
    expect(order.blockerOf(a)).toBeUndefined();
    const known = a.order;
    for (let i = 0; i < 2500; i++) use(`s${i}`);
    expect(known?.isForgotten).toBe(true);
    const run = new Run(a, performance.now() + 10_000);
    order.block(run, 0);
    expect([order.blockerOf(callOn("a")), order.blockerOf(callOn("b"))]).toEqual([run, blocked]);
  });
});

describe("continueWith", () => {
  test("keeps the sessions of undone calls blocked, and releases the others", () => {
    const blocker = runOn("a", "b");
    const [heldOnA, heldOnB] = [runOn("a"), runOn("b")];
    order.block(blocker, 0);
    order.hold(heldOnA);
    order.hold(heldOnB);
    const undone = blocker.succeed(["", UNDONE]) as Run;
    order.continueWith(blocker, undone);
    expect(released).toEqual([[heldOnA]]);
    expect(order.blockerOf(b)).toBe(undone);
    undone.succeed("");
    expect(released).toEqual([[heldOnA], [heldOnB]]);
  });
});

import { fromRedis } from "../errors.js";
import { setImmediate } from "../util/real-timers.js";
import { CallOrder } from "./call-order.js";
import type { RedisClient } from "./client.js";
import type { Deadlines } from "./deadlines.js";
import { type Gate, gateOf, isReply, isUnsent } from "./gate.js";
import { type Call, Run } from "./run.js";
import { isMoving, isNoScript } from "./script.js";

/** How long to wait before sending a run again while its slot is moving, in ms. */
export const MOVING_PAUSE = 50;

/**
 * Sends the calls of one iteration of the event loop together: calls of the same operation in one run of its script, and
 * all runs in one write. Under load most of a call's cost is one system call for the command and one in Redis for its
 * reply, so calls wait until the I/O events of the iteration are handled.
 *
 * Calls that are made one after another need not wait. A call is sent at once if no other call is in flight and the last
 * flush sent a single call.
 */
export class Batch {
  readonly #client: RedisClient;
  readonly #deadlines: Deadlines;
  readonly #gate: Gate;
  /** Key prefix of an app → its runs that wait for the end of the iteration, in the order of their calls. */
  readonly #waiting = new Map<string, Run[]>();
  readonly #order = new CallOrder((runs) => this.#sendReleased(runs));
  /** How many runs were sent and are not answered. */
  #inFlight = 0;
  /** Whether the last flush sent more than one call. */
  #isBusy = false;

  constructor(client: RedisClient, deadlines: Deadlines) {
    this.#client = client;
    this.#deadlines = deadlines;
    this.#gate = gateOf(client);
  }

  /** Sends a call, at once or with others at the end of the iteration. */
  add(call: Call): void {
    // Never overtake waiting calls. (The order may change only if Redis lacks a script or a slot is moving.)
    const isAlone = !this.#isBusy && this.#inFlight === 0 && this.#waiting.size === 0;
    if (isAlone && this.#order.isIdle) {
      this.send(new Run(call, this.#deadlines.next()));
      return;
    }
    const { base } = call.keys;
    const runs = this.#waiting.get(base);
    const blocker = this.#order.blockerOf(call);
    const mustBeHeld = blocker !== undefined && (blocker.isSent || this.#order.lastHeldFor(call) !== undefined);
    if (runs !== undefined && !mustBeHeld) {
      if (this.#join(runs, call, blocker)) return;
      const last = runs.at(-1);
      if (last?.mayLeaveUndone) this.#order.block(last, 1);
    }
    if (this.#order.blockerOf(call) !== undefined) {
      if (!this.#order.lastHeldFor(call)?.tryAdd(call)) this.#order.hold(this.#newRun(call));
      return;
    }
    if (isAlone) {
      this.send(new Run(call, this.#deadlines.next()));
      return;
    }
    if (this.#waiting.size === 0) setImmediate(this.#flush);
    const run = this.#newRun(call);
    if (runs === undefined) this.#waiting.set(base, [run]);
    else runs.push(run);
    if (run.isFull) this.#flush();
  }

  /**
   * Adds a call to the last waiting run that can serve it, unless it would overtake a call. Returns whether it was added.
   * @param blocker the run that calls on the session must wait for, unless they join it
   */
  #join(runs: readonly Run[], call: Call, blocker: Run | undefined): boolean {
    for (let i = runs.length - 1; i >= 0; i--) {
      const run = runs[i] as Run;
      if ((blocker === undefined || blocker === run) && run.tryAdd(call)) {
        // Later calls on the session must wait for it, as for all runs that others follow.
        if (i < runs.length - 1) this.#order.block(run, 1);
        // Send a full run now, so that Redis can work on it during this iteration.
        if (run.isFull) this.#flush();
        return true;
      }
      if (!run.mayBeOvertakenBy(call)) return false;
    }
    return false;
  }

  /** Makes a run of one call, whose deadline begins now. */
  #newRun(call: Call): Run {
    const run = new Run(call, this.#deadlines.next());
    this.#deadlines.add(run);
    return run;
  }

  /** Sends runs that were held, those of the same operation in one run. */
  #sendReleased(released: readonly Run[]): void {
    const runs: Run[] = [];
    for (const run of released) {
      if (runs.some((earlier) => earlier.absorb(run))) this.#deadlines.remove(run);
      else runs.push(run);
    }
    for (const run of runs) {
      if (run.calls.length > 1 || this.#order.lastHeldFor(run.calls[0]) !== undefined) this.#order.block(run, 0);
      this.#sendAgain(run);
    }
  }

  /** Sends a run at once. */
  send(run: Run): void {
    this.#deadlines.add(run);
    this.#sendOrHold(run);
  }

  #sendOrHold(run: Run, withSource = false): void {
    if (this.#gate.isOpen) this.#sendNow(run, withSource);
    else this.#hold(run, withSource);
  }

  #hold(run: Run, withSource = false): void {
    this.#gate.hold({
      deadline: run.deadline,
      send: () => this.#sendNow(run, withSource),
      fail: (error) => this.#finish(run, error, null),
    });
  }

  readonly #flush = (): void => {
    const now = performance.now();
    const runs: Run[] = [];
    for (const some of this.#waiting.values()) for (const run of some) if (run.deadline > now) runs.push(run);
    this.#waiting.clear();
    const [first] = runs;
    if (first === undefined) return;
    for (const run of runs) if (run.mayLeaveUndone) this.#order.block(run, 1);
    this.#isBusy = runs.length > 1 || first.calls.length > 1;
    if (!this.#gate.isOpen) for (const run of runs) this.#hold(run);
    else if (runs.length === 1) this.#sendNow(first);
    else
      this.#client.inOneWrite(() => {
        for (const run of runs) this.#sendNow(run);
      });
  };

  /** @param withSource sends the script's source, for a server that does not have the script */
  #sendNow(run: Run, withSource = false): void {
    run.isSent = true;
    this.#inFlight++;
    const call = run.scriptCall(this.#client.isCluster);
    const reply = withSource ? this.#client.eval(call) : this.#client.evalsha(call);
    reply.then(
      (reply) => {
        this.#inFlight--;
        this.#finishOrRepeat(run, null, reply);
      },
      (error) => {
        this.#inFlight--;
        this.#finishOrRepeat(run, error, null);
      },
    );
  }

  /**
   * Sends a run again with the script's source if the server does not have the script (first use, `SCRIPT FLUSH`,
   * failover), and after a pause if its slot is moving. All other errors fail the calls: a script that failed may have
   * written.
   */
  #finishOrRepeat(run: Run, error: unknown, reply: unknown): void {
    if (isUnsent(error)) {
      // The deadline is now, and will end the calls.
      run.isSent = false;
      return;
    }
    if (error === null || isReply(error)) this.#gate.answered();
    if (isNoScript(error)) this.#sendAgain(run, true);
    else if (this.#client.isCluster && isMoving(error) && performance.now() + MOVING_PAUSE < run.deadline) {
      setTimeout(() => this.#sendAgain(run), MOVING_PAUSE).unref();
    } else this.#finish(run, error, reply);
  }

  /** Sends a run again, but not after its deadline, when its calls fail with `timeout`. */
  #sendAgain(run: Run, withSource = false): void {
    if (performance.now() < run.deadline) this.#sendOrHold(run, withSource);
  }

  /** Ends the calls of a run. Calls that the script left undone are sent again. */
  #finish(run: Run, error: unknown, reply: unknown): void {
    this.#deadlines.remove(run);
    if (error === null) {
      const undone = run.succeed(reply);
      if (undone !== undefined) this.#sendUndone(run, undone);
    } else run.fail(fromRedis(error, this.#client.lastError));
  }

  /** Sends again the calls that the script left undone, unless their deadline has passed. */
  #sendUndone(run: Run, undone: Run): void {
    this.#deadlines.add(undone);
    this.#sendAgain(undone);
    this.#order.continueWith(run, undone);
  }
}

import { fromRedis } from "../errors.js";
import type { Client } from "../types.js";
import { CallOrder } from "./call-order.js";
import { connectionErrorOf } from "./client.js";
import type { Deadlines } from "./deadlines.js";
import { type Gate, gateOf, isReply } from "./gate.js";
import { type Call, keysOf, Run } from "./run.js";
import { isMoving, isNoScript, isRedirection } from "./script.js";

/** How long a run waits before it is sent again while its slot moves, in ms. */
export const MOVING_PAUSE = 50;

/**
 * Sends scripts that are asked for in one round of the event loop together. ioredis makes one system call a command,
 * and so does Redis for its answer, which is the better part of what a call costs under load. So calls leave when the
 * round's I/O events are through: alike ones in one run of their script, and all runs in one pipeline. But where calls
 * are made one after another they wait for nothing: a call leaves at once when no other is on its way, and the last one
 * that waited was alone.
 */
export class Batch {
  readonly #client: Client;
  readonly #deadlines: Deadlines;
  readonly #gate: Gate;
  /** What waits for the end of the round: of each app, by its hash tag, in the order of the calls. */
  readonly #waiting = new Map<string, Run[]>();
  readonly #order = new CallOrder((runs) => this.#sendReleased(runs));
  #onTheirWay = 0;
  /** Whether calls have come together lately. */
  #busy = false;

  constructor(client: Client, deadlines: Deadlines) {
    this.#client = client;
    this.#deadlines = deadlines;
    this.#gate = gateOf(client);
  }

  add(call: Call): void {
    const own = keysOf(call);
    const session = own[call.keys.index.length] as string;
    const { base } = call.keys;
    const runs = this.#waiting.get(base);
    const blocker = this.#order.blockerOf(session);
    if (blocker !== undefined) {
      // A run keeps the order of its calls. Never overtake held calls.
      const held = this.#order.heldOn(session).at(-1);
      if (held !== undefined ? held.take(call, own) : blocker === runs?.at(-1) && blocker.take(call, own)) return;
      this.#order.hold(this.#watched(call, own), session);
      return;
    }
    // Never overtake waiting calls: calls keep their order, unless Redis lacks a script or a slot moves.
    if (!this.#busy && this.#onTheirWay === 0 && this.#waiting.size === 0) {
      this.send(new Run(call, this.#deadlines.next(), own));
      return;
    }
    this.#wait(call, own, session, runs ?? []);
  }

  /** Lets a call wait for the end of the round, in the app's last run or in a new one. */
  #wait(call: Call, own: string[], session: string, runs: Run[]): void {
    if (this.#waiting.size === 0) setImmediate(this.#flush);
    let run = runs.at(-1);
    if (run?.take(call, own)) {
      this.#order.open(run, session);
    } else {
      run = this.#watched(call, own);
      if (runs.push(run) === 1) this.#waiting.set(call.keys.base, runs);
    }
    // Redis can begin, while we go on.
    if (run.isFull) this.#flush();
  }

  /** A run of one call, with its deadline. */
  #watched(call: Call, own: string[]): Run {
    const run = new Run(call, this.#deadlines.next(), own);
    this.#deadlines.add(run);
    return run;
  }

  /** Sends runs that were held, alike ones together. */
  #sendReleased(released: readonly Run[]): void {
    const runs: Run[] = [];
    for (const run of released) {
      if (runs.at(-1)?.absorb(run)) this.#deadlines.remove(run);
      else runs.push(run);
    }
    for (const run of runs) {
      for (const session of run.sessions) {
        if (run.serves > 1 || this.#order.heldOn(session).length > 0) this.#order.open(run, session);
      }
      this.#sendAgain(run);
    }
  }

  /** Sends a run at once. */
  send(run: Run): void {
    this.#deadlines.add(run);
    this.#sendOrHold(run);
  }

  #sendOrHold(run: Run, withSource = false): void {
    if (this.#gate.isOpen) this.#sendAlone(run, withSource);
    else this.#hold(run, withSource);
  }

  #hold(run: Run, withSource = false): void {
    this.#gate.hold({
      deadline: run.deadline,
      send: () => this.#sendAlone(run, withSource),
      fail: (error) => this.#land(run, error, null),
    });
  }

  readonly #flush = (): void => {
    const now = performance.now();
    const byApp = [...this.#waiting.values()]
      .map((runs) => runs.filter(({ deadline }) => deadline > now))
      .filter((runs) => runs.length > 0);
    this.#waiting.clear();
    const [first, ...others] = byApp.flat();
    if (first === undefined) return;
    this.#busy = others.length > 0 || first.serves > 1;
    if (!this.#gate.isOpen) for (const run of [first, ...others]) this.#hold(run);
    else if (others.length === 0) this.#sendAlone(first);
    // A pipeline may not span two Cluster slots.
    else if (this.#client.isCluster) for (const runs of byApp) this.#sendTogether(runs);
    else this.#sendTogether([first, ...others]);
  };

  /** @param withSource for a server that does not have the script */
  #sendAlone(run: Run, withSource = false): void {
    const { script, keys, args } = run;
    run.isSent = true;
    this.#onTheirWay++;
    const reply = withSource
      ? this.#client.eval(script.source, keys.length, ...keys, ...args)
      : this.#client.evalsha(script.sha, keys.length, ...keys, ...args);
    reply.then(
      (reply) => {
        this.#onTheirWay--;
        this.#landOrRepeat(run, null, reply);
      },
      (error) => {
        this.#onTheirWay--;
        this.#landOrRepeat(run, error, null);
      },
    );
  }

  #sendTogether(runs: readonly Run[]): void {
    this.#onTheirWay++;
    const pipeline = this.#client.pipeline();
    for (const run of runs) {
      run.isSent = true;
      pipeline.evalsha(run.script.sha, run.keys.length, ...run.keys, ...run.args);
    }
    pipeline.exec().then(
      (replies) => {
        this.#onTheirWay--;
        for (const [i, run] of runs.entries()) this.#landOrRedirect(run, ...(replies?.[i] ?? [null, null]));
      },
      (error) => {
        this.#onTheirWay--;
        for (const run of runs) this.#landOrRepeat(run, error, null);
      },
    );
  }

  /** ioredis follows a slot that moves with single commands, but not with a pipeline that was served in part. */
  #landOrRedirect(run: Run, error: unknown, reply: unknown): void {
    if (isRedirection(error) && this.#client.isCluster) this.#sendAgain(run);
    else this.#landOrRepeat(run, error, reply);
  }

  /**
   * Once more with its source when the server does not have the script (a first use, a `SCRIPT FLUSH`, a failover), and
   * again after a pause while the slot moves. Any other error is the caller's: a script that failed may have written.
   */
  #landOrRepeat(run: Run, error: unknown, reply: unknown): void {
    if (error === null || isReply(error)) this.#gate.answered();
    if (isNoScript(error)) this.#sendAgain(run, true);
    else if (this.#client.isCluster && isMoving(error) && performance.now() + MOVING_PAUSE < run.deadline) {
      setTimeout(() => this.#sendAgain(run), MOVING_PAUSE).unref();
    } else this.#land(run, error, reply);
  }

  /** Not after the deadline: the callers have been told, or will be in a moment. */
  #sendAgain(run: Run, withSource = false): void {
    if (performance.now() < run.deadline) this.#sendOrHold(run, withSource);
  }

  #land(run: Run, error: unknown, reply: unknown): void {
    this.#deadlines.remove(run);
    if (error === null) {
      const rest = run.succeed(reply);
      if (rest !== undefined) this.#sendRest(run, rest);
    } else run.fail(fromRedis(error, connectionErrorOf(this.#client)));
  }

  /** Sends the calls that a run has left undone, unless their callers were told that it is too late. */
  #sendRest(run: Run, rest: Run): void {
    this.#deadlines.add(rest);
    this.#sendAgain(rest);
    this.#order.goesOn(run, rest);
  }
}

import fc from "fast-check";
import { expect, test } from "vitest";
import { Batch } from "../../src/redis/batch.js";
import { Deadlines } from "../../src/redis/deadlines.js";
import { UNDONE } from "../../src/redis/operation.js";
import { callOf, ScriptedClient, sharedOperation, type TestCall } from "../support/scripted-client.js";

const get = sharedOperation("get");
const set = sharedOperation("set");
const { mayLeaveUndone: _, ...kill } = sharedOperation("kill");
const OPERATIONS = { get, set, kill };

/** One step: a call on a session, the end of the iteration, or Redis answers the next command. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      // Mostly the same operation, so that runs have several calls.
      operation: fc.constantFrom("get" as const, "get" as const, "get" as const, "set" as const, "kill" as const),
      session: fc.constantFrom("a", "b", "c", "d"),
    }),
  },
  { weight: 2, arbitrary: fc.constant("flush" as const) },
  // How many calls of its run the script serves.
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 3 }) },
);

/** Redis: runs the scripts in the order in which they were sent, and answers them in that order. */
class Server {
  /** The numbers of the calls that were served, in order. */
  readonly served: number[] = [];
  readonly #client: ScriptedClient;
  #answered = 0;

  constructor(client: ScriptedClient) {
    this.#client = client;
  }

  get isIdle(): boolean {
    return this.#answered === this.#client.sent.length;
  }

  async answer(atMost: number): Promise<void> {
    if (this.isIdle) return;
    const calls = this.#client.values[this.#answered] as number[];
    const { args, resolve } = this.#client.sent[this.#answered++] as ScriptedClient["sent"][number];
    const count = args[0] === "sha of kill" ? calls.length : Math.min(calls.length, atMost);
    this.served.push(...calls.slice(0, count));
    resolve(calls.length === 1 ? "" : calls.map((_call, i) => (i < count ? "" : UNDONE)));
    // A reply passes over several promises.
    for (let i = 0; i < 10; i++) await Promise.resolve();
  }
}

test("calls on one session are served once and in their order, whatever a script leaves undone", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const client = new ScriptedClient();
      const deadlines = new Deadlines(client.asClient, 10_000);
      const batch = new Batch(client.asClient, deadlines);
      const server = new Server(client);
      const calls: TestCall[] = [];
      for (const one of steps) {
        if (one === "flush") await new Promise(setImmediate);
        else if (typeof one === "number") await server.answer(one);
        else {
          const call = callOf(OPERATIONS[one.operation], { ref: one.session, value: calls.length });
          calls.push(call);
          batch.add(call);
        }
      }
      do {
        await new Promise(setImmediate);
        await server.answer(2);
      } while (!server.isIdle);
      expect(calls.map(({ ends }) => ends.length)).toEqual(calls.map(() => 1));
      expect(deadlines.count).toBe(0);
      for (const session of ["a", "b", "c", "d"]) {
        const served = server.served.filter((call) => calls[call]?.input.ref === session);
        expect(served).toEqual([...served].sort((one, other) => one - other));
      }
    }),
    { numRuns: 500 },
  );
});

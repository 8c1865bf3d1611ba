import { describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";

const $ = useEngine();
const app = "webapp";

describe("the order of calls", () => {
  test("does not let a call overtake an earlier call that is held a second time for another session", async () => {
    const [a, x, y] = await Promise.all([$.create(), $.create(), $.create()].map(async (made) => (await made).token));
    const set = (token: string | undefined, v: number) => $.rs.set({ app, token: token as string, d: { v } });
    const get = (token: string | undefined) => $.rs.get({ app, token: token as string });
    await Promise.all([set(a, 0), get(a)]);
    const calls: Promise<unknown>[] = [get(a)];
    let last: Promise<unknown> | undefined;
    calls.push(
      set(a, 1).then(() => {
        last = set(x, 4);
      }),
      set(x, 1),
      set(y, 1),
    );
    // These calls are in flight. The next ones are held, and then held a second time because of y.
    await new Promise((resolve) => setImmediate(resolve));
    calls.push(set(x, 2), set(y, 2), get(y), set(y, 3), set(x, 3));
    await Promise.all(calls);
    await last;
    expect((await get(x))?.d).toEqual({ v: 4 });
  });
});

import { describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";

const $ = useEngine();
const app = "webapp";

describe("the order of calls", () => {
  test("does not let a new call overtake held calls while an undone call is sent again", async () => {
    const text = "x".repeat(250_000);
    const tokens: string[] = [];
    for (let i = 0; i < 4; i++) tokens.push((await $.create({ d: { text } })).token);
    const set = (i: number, v: number) => $.rs.set({ app, token: tokens[i] as string, d: { v } });
    let last: Promise<unknown> | undefined;
    const first = $.rs.ping();
    const all = [
      $.rs.get({ app, token: tokens[0] as string }),
      set(0, 1),
      // The script reaches its work limit after the second `set`. The reply arrives when the third one is sent again.
      set(1, 1).then(() => {
        last = set(2, 3);
        return last;
      }),
      set(2, 1),
      set(3, 1),
    ];
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    all.push(set(2, 2));
    await Promise.all([first, ...all]);
    await last;
    const session = await $.rs.get({ app, token: tokens[2] as string });
    expect(session?.d).toMatchObject({ v: 3 });
  });
});

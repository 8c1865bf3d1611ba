import { expect, test } from "vitest";
import { endOfRound } from "../../src/util/real-timers.js";

test("all callers of a round of the event loop continue together", async () => {
  const order: string[] = [];
  const first = endOfRound().then(() => order.push("first"));
  setImmediate(() => order.push("another task"));
  await Promise.all([first, endOfRound().then(() => order.push("second"))]);
  await endOfRound().then(() => order.push("next round"));
  expect(order).toEqual(["first", "second", "another task", "next round"]);
});

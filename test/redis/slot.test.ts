import { expect, test } from "vitest";
import { slotOf } from "../../src/redis/slot.js";

/** CLUSTER KEYSLOT of Redis 7.0 for `{<text>}`. */
const SLOTS: { readonly [tag: string]: number } = {
  "123456789": 12739,
  webapp: 6521,
  "webapp.7": 9052,
  "sess.31": 372,
  딸기: 1163,
  "=my:app.12": 14409,
  x: 16287,
};

test.each(Object.entries(SLOTS))("the slot of %j is %i", (tag, slot) => {
  expect(slotOf(tag)).toBe(slot);
});

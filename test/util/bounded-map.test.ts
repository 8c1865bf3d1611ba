import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { BoundedMap } from "../../src/util/bounded-map.js";

test("never holds more than ten thousand entries, and always has the last one", () => {
  const map = new BoundedMap<number>();
  for (let n = 0; n < 25_000; n++) {
    map.set(`${n}`, -n);
    if (map.size > 10_000 || map.get(`${n}`) !== -n) expect.fail(`${n}: ${map.size}`);
  }
  expect(map.get("24000")).toBe(-24_000);
  expect(map.has("0")).toBe(false);
});

test("does not keep the headers in memory that its keys are slices of", () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const map = new BoundedMap<number>();
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let n = 0; n < 2000; n++) {
    const header = Buffer.from(`${n}`.padStart(20_000)).toString("latin1");
    map.set(header.slice(-99), n);
  }
  collect();
  expect(map.size).toBe(2000);
  // The headers have 40 MB.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(10_000_000);
});

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Deadlines } from "../../src/redis/deadlines.js";
import { startRedis, type TestRedis } from "../support/redis.js";

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis.stop());

/** Deadlines with one call that has the full timeout, so that calls with less time get their own timers. */
function withLaterDeadline(): Deadlines {
  const deadlines = new Deadlines(redis.client(), 2000);
  deadlines.add({ deadline: deadlines.next(), fail: () => {} });
  return deadlines;
}

test("ends calls with an earlier deadline on time, and never a fraction of a millisecond before it", async () => {
  const deadlines = withLaterDeadline();
  const late: number[] = [];
  for (let i = 0; i < 50; i++) {
    const deadline = performance.now() + 30 + i / 50;
    deadlines.add({ deadline, fail: () => void late.push(performance.now() - deadline) });
    await sleep(1);
  }
  await sleep(300);
  expect(late).toHaveLength(50);
  expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
});

test("accepts an answer that arrived while the process was busy past the deadline", async () => {
  const client = redis.client();
  await client.ping();
  const deadlines = withLaterDeadline();
  const pending = { deadline: performance.now() + 50, fail: vi.fn() };
  deadlines.add(pending);
  const answered = client.ping().then(() => deadlines.remove(pending));
  await new Promise(setImmediate);
  for (const end = performance.now() + 100; performance.now() < end; );
  await answered;
  expect(pending.fail).not.toHaveBeenCalled();
});

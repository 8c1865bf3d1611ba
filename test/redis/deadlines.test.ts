import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { SessionError } from "../../src/errors.js";
import { Deadlines } from "../../src/redis/deadlines.js";
import { gateOf } from "../../src/redis/gate.js";
import { clientOf } from "../../src/redis/recognise.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { ScriptedClient } from "../support/scripted-client.js";

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis.stop());

/** Deadlines with one call that has the full timeout, so that calls with less time get their own timers. */
function withLaterDeadline(): Deadlines {
  const deadlines = new Deadlines(clientOf(redis.client()), 2000);
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

test("next returns the time at which the timeout of a new call ends", () => {
  const before = performance.now();
  const next = new Deadlines(new ScriptedClient().asClient, 2000).next();
  expect(next).toBeGreaterThanOrEqual(before + 2000);
  expect(next).toBeLessThanOrEqual(performance.now() + 2000);
});

describe("add", () => {
  let client: ScriptedClient;
  let deadlines: Deadlines;
  /** The names of the calls that have expired, in their order. */
  let expired: string[];

  beforeEach(() => {
    client = new ScriptedClient();
    deadlines = new Deadlines(client.asClient, 40);
    expired = [];
  });

  function add(name: string, ms: number, isSent?: boolean) {
    const pending = {
      deadline: performance.now() + ms,
      fail: () => void expired.push(name),
      ...(isSent !== undefined && { isSent }),
    };
    deadlines.add(pending);
    return pending;
  }

  test("ends each call when its own deadline has passed", async () => {
    add("first", 40);
    add("second", 300);
    await expect.poll(() => expired, { interval: 5 }).toEqual(["first"]);
    expect(deadlines.count).toBe(1);
    // The timer starts again for the next call.
    await expect.poll(() => expired).toEqual(["first", "second"]);
    expect(deadlines.count).toBe(0);
  });

  test("ends a call that is added after all others have ended", async () => {
    add("first", 10);
    await expect.poll(() => expired).toEqual(["first"]);
    add("second", 10);
    await expect.poll(() => expired).toEqual(["first", "second"]);
  });

  test("ends a call before one that was added earlier, if its deadline is earlier", async () => {
    add("later", 10_000);
    add("sooner", 20);
    await expect.poll(() => expired).toEqual(["sooner"]);
    expect(deadlines.count).toBe(1);
  });

  test("ends no call twice", async () => {
    add("later", 60);
    add("sooner", 20);
    add("last", 100);
    await expect.poll(() => expired).toEqual(["sooner", "later", "last"]);
    await sleep(50);
    expect(expired).toHaveLength(3);
  });

  test("does not end a call that was removed", async () => {
    const pending = add("removed", 10);
    add("kept", 20);
    deadlines.remove(pending);
    await expect.poll(() => expired).toEqual(["kept"]);
  });

  test("closes the gate for a command that was sent, and only for that", async () => {
    const gate = gateOf(client.asClient);
    add("work", 5);
    add("unsent", 6, false);
    await expect.poll(() => expired).toEqual(["work", "unsent"]);
    expect(gate.timeoutsInARow).toBe(0);
    add("sent", 5, true);
    await expect.poll(() => gate.timeoutsInARow).toBe(1);
  });

  test("does not keep the process alive", () => {
    const timers = vi.spyOn(globalThis, "setTimeout");
    add("first", 40);
    add("sooner", 20);
    const started = timers.mock.results.map(({ value }) => value as NodeJS.Timeout);
    timers.mockRestore();
    expect(started.map((timer) => timer.hasRef())).toEqual([false, false]);
  });
});

describe("timedOut", () => {
  const unsent = "The call was not sent and will not be sent";

  function errorOf(client: ScriptedClient, isSent?: boolean): SessionError {
    return new Deadlines(client.asClient, 2000).timedOut(isSent === undefined ? {} : { isSent });
  }

  test("says whether the call was sent", () => {
    const client = new ScriptedClient();
    expect(errorOf(client, true)).toMatchObject({ name: "timeout", message: "Redis did not answer within 2000 ms" });
    expect(errorOf(client, true).hint).toBeUndefined();
    expect(errorOf(client).hint).toBeUndefined();
    expect(errorOf(client, false).hint).toBe(unsent);
  });

  test("says that the client is not connected", () => {
    const client = new ScriptedClient();
    client.status = "reconnecting";
    expect(errorOf(client, true).hint).toMatch(/its status is "reconnecting".*host and port, password and tls\.$/);
    expect(errorOf(client, false).hint).toMatch(new RegExp(`its status is "reconnecting".* ${unsent}\\.$`));
  });

  test("suggests socketTimeout from the third timeout in a row on, unless the client has it", () => {
    const client = new ScriptedClient();
    const gate = gateOf(client.asClient);
    gate.timedOut();
    gate.timedOut();
    expect(errorOf(client, true).hint).toBeUndefined();
    gate.timedOut();
    expect(errorOf(client, true).hint).toContain("socketTimeout: 3000");
    client.options = { socketTimeout: 3000 };
    expect(errorOf(client, true).hint).toBeUndefined();
    client.isCluster = true;
    expect(errorOf(client, true).hint).toContain("socketTimeout: 3000");
    client.options = { redisOptions: { socketTimeout: 3000 } };
    expect(errorOf(client, true).hint).toBeUndefined();
  });
});

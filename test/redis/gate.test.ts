import { beforeEach, describe, expect, test } from "vitest";
import { Gate, gateOf } from "../../src/redis/gate.js";
import { replyError, ScriptedClient } from "../support/scripted-client.js";

let client: ScriptedClient;
let gate: Gate;
/** What happened to the held commands, in its order. */
let events: string[];

beforeEach(() => {
  client = new ScriptedClient();
  gate = new Gate(client.asClient);
  events = [];
});

function hold(name: string, timeout = 10_000): void {
  gate.hold({
    deadline: performance.now() + timeout,
    send: () => void events.push(`${name} sent`),
    fail: (error) => void events.push(`${name} failed: ${(error as Error).message}`),
  });
}

/** Ends the PING at this position, and waits until that was handled. */
async function endPing(position: number, error?: Error): Promise<void> {
  if (error === undefined) client.sent[position]?.resolve("PONG");
  else client.sent[position]?.reject(error);
  await new Promise(setImmediate);
}

test("gateOf returns the same gate for all engines on one client", () => {
  expect(gateOf(client.asClient)).toBe(gateOf(client.asClient));
  expect(gateOf(client.asClient)).not.toBe(gateOf(new ScriptedClient().asClient));
});

describe("isOpen", () => {
  test("is true for a client that is ready", () => {
    expect(gate.isOpen).toBe(true);
  });

  test("is true for a client without a status, such as ioredis-mock", () => {
    Object.assign(client, { status: undefined, stream: undefined });
    expect(gate.isOpen).toBe(true);
  });

  test("is false for a client that is not ready, or whose stream has ended", () => {
    client.status = "connecting";
    expect(gate.isOpen).toBe(false);
    client.status = "ready";
    client.stream.writable = false;
    expect(gate.isOpen).toBe(false);
  });

  test("is false after a timeout, until Redis answers", () => {
    gate.timedOut();
    gate.timedOut();
    expect(gate.timeoutsInARow).toBe(2);
    expect(gate.isOpen).toBe(false);
    gate.answered();
    expect(gate.timeoutsInARow).toBe(0);
    expect(gate.isOpen).toBe(true);
  });

  test("is false while commands are held, so that none overtakes them", () => {
    client.status = "connecting";
    hold("a");
    client.status = "ready";
    expect(gate.isOpen).toBe(false);
  });
});

describe("hold", () => {
  beforeEach(() => {
    client.status = "connecting";
  });

  test("sends one PING for all commands", () => {
    hold("a");
    hold("b");
    expect(client.sent.map(({ name }) => name)).toEqual(["ping"]);
  });

  test("sends the commands in their order when the PING is answered", async () => {
    hold("a");
    hold("b");
    client.status = "ready";
    await endPing(0);
    expect(events).toEqual(["a sent", "b sent"]);
    expect(gate.isOpen).toBe(true);
  });

  test("sends the commands when the client is ready, before the PING is answered", async () => {
    hold("a");
    client.status = "ready";
    client.emit("ready");
    expect(events).toEqual(["a sent"]);
    await endPing(0);
    expect(events).toEqual(["a sent"]);
  });

  test("sends the commands when another command is answered", () => {
    hold("a");
    client.status = "ready";
    gate.answered();
    expect(events).toEqual(["a sent"]);
  });

  test("sends the commands when Redis refuses the PING", async () => {
    hold("a");
    client.status = "ready";
    await endPing(0, replyError("NOPERM no ping"));
    expect(events).toEqual(["a sent"]);
  });

  test("fails the commands with the error of ioredis", async () => {
    hold("a");
    hold("b");
    await endPing(0, new Error("Connection is closed."));
    expect(events).toEqual(["a failed: Connection is closed.", "b failed: Connection is closed."]);
  });

  test("fails the commands with an error of ioredis though the client is ready", async () => {
    hold("a");
    client.status = "ready";
    await endPing(0, new Error("Command queue state error"));
    expect(events).toEqual(["a failed: Command queue state error"]);
  });

  test("fails the commands when an error reply comes while the client is not ready, as for a wrong password", async () => {
    hold("a");
    await endPing(0, replyError("WRONGPASS wrong"));
    expect(events).toEqual(["a failed: WRONGPASS wrong"]);
  });

  test("keeps the commands when the connection is lost again before the answer is handled", async () => {
    hold("a");
    await endPing(0);
    expect(events).toEqual([]);
    client.status = "ready";
    client.emit("ready");
    expect(events).toEqual(["a sent"]);
  });

  test("ignores the end of a PING from before the gate was open", async () => {
    hold("a");
    client.status = "ready";
    client.emit("ready");
    client.status = "connecting";
    hold("b");
    expect(client.sent).toHaveLength(2);
    await endPing(0, new Error("Connection is closed."));
    expect(events).toEqual(["a sent"]);
    client.status = "ready";
    await endPing(1);
    expect(events).toEqual(["a sent", "b sent"]);
  });

  test("sends a new PING after the last one has failed", async () => {
    hold("a");
    await endPing(0, new Error("Connection is closed."));
    hold("b");
    expect(client.sent).toHaveLength(2);
  });

  test("does not send a command after its deadline", () => {
    hold("late", -1);
    hold("in time");
    client.status = "ready";
    client.emit("ready");
    expect(events).toEqual(["in time sent"]);
  });

  test("does not send a command whose deadline passed while it was the last one", () => {
    hold("in time");
    hold("late", -1);
    client.status = "ready";
    client.emit("ready");
    expect(events).toEqual(["in time sent"]);
  });

  test("drops expired commands, so that the queue does not grow during an outage", async () => {
    hold("late", -1);
    hold("in time");
    // A command that was dropped is not failed either.
    await endPing(0, new Error("Connection is closed."));
    expect(events).toEqual(["in time failed: Connection is closed."]);
  });

  test("leaves no listener on the client", () => {
    const before = client.listenerCount("ready");
    for (let i = 0; i < 3; i++) {
      client.status = "connecting";
      hold("a");
      hold("b");
      expect(client.listenerCount("ready")).toBe(before + 1);
      client.status = "ready";
      client.emit("ready");
      expect(client.listenerCount("ready")).toBe(before);
    }
  });

  test("adds one listener when all earlier commands have expired", () => {
    const before = client.listenerCount("ready");
    hold("a", -1);
    hold("b", -1);
    hold("c", -1);
    expect(client.listenerCount("ready")).toBe(before + 1);
  });
});

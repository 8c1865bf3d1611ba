import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";

const $ = useEngine();
const app = "webapp";

describe("set of a large session", () => {
  test("sends no further commands after a large change has failed with a timeout", async () => {
    const client = $.redis.client();
    const rs = new RedisSessions({ client, wipe: 0, timeout: 300 });
    const { token } = await rs.create({ app, id: "alice", ip: "1.2.3.4", d: { text: "x".repeat(300_000) } });
    // Each command is answered within the timeout, but all of them together take longer.
    const strlen = client.strlen.bind(client);
    client.strlen = (async (key: string) => {
      const length = await strlen(key);
      await sleep(200);
      return length;
    }) as never;
    const commands = await $.redis.watch(async () => {
      await expect(rs.set({ app, token, d: { a: 1 } })).rejects.toThrow("300 ms");
      await sleep(500);
    });
    expect(commands.map(([name]) => name)).toContain("strlen");
    expect(commands.map(([name]) => name)).not.toContain("set");
  });
});

import { describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";

const $ = useEngine();
const app = "webapp";

describe("get of a large session", () => {
  test.each(["created large", "grown by set"])("counts more than 9 reads of a session that was %s", async (how) => {
    const text = "x".repeat(300_000);
    const { token } = await $.create({ d: how === "created large" ? { text } : { text: text.slice(60_000) } });
    if (how !== "created large") await $.rs.set({ app, token, d: { more: text.slice(200_000) } });
    for (let i = 0; i < 12; i++) await $.rs.get({ app, token });
    const session = await $.rs.get({ app, token, touch: false });
    expect(session?.r).toBe(13);
  });
});

test("reads and changes a large session through a client with stringNumbers", async () => {
  const client = $.redis.client({ stringNumbers: true });
  const rs = new RedisSessions({ client, wipe: 0 });
  const { token } = await rs.create({ app, id: "bob", ip: "1.2.3.4", d: { text: "x".repeat(300_000) } });
  await expect(rs.set({ app, token, d: { a: 1 } })).resolves.toMatchObject({ d: { a: 1 } });
  await expect(rs.get({ app, token })).resolves.toMatchObject({ d: { a: 1 } });
});

import { expect, test } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { RedisSessions } from "../../src/index.js";
import { exchange } from "../../src/lua/index.js";
import { useEngine } from "../support/engine.js";
import { INDEX } from "../support/scripts.js";

const $ = useEngine();
const app = "webapp";

test("exchange: keeps an expiry on a session that is replaced in its last millisecond", async () => {
  const own = "1000\n0000000001\n0000000001\n7200\n1000";
  const text = `${own}\n"alice"\n"::1"\n\n"cart":1`;
  let written = 0;
  for (let i = 0; i < 500 && written < 20; i++) {
    const end = Date.now() + 3;
    await $.db.pipeline().set("session", text, "PXAT", end).set("staged", text, "PX", 5000).exec();
    while (Date.now() < end);
    const args = ["ref", end, "keep", '0000000001\n7200\n1000\n"alice"', text.length];
    const reply = await $.db.eval(exchange.source, 7, ...INDEX, "session", "staged", ...args);
    if (!Array.isArray(reply)) continue;
    written++;
    expect(await $.db.pttl("session")).not.toBe(-1);
  }
  expect(written).toBeGreaterThan(0);
});

test.each([10, 300_000])(
  "set: keeps the new user of a session that changes users during a change of %i characters",
  async (length) => {
    const keys = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`k${i}`, 0]));
    const { ref, token } = await $.create({ id: "alice", d: { text: "x".repeat(length), ...keys } });
    const client = $.redis.client();
    const rs = new RedisSessions({ client, wipe: 0 });
    const write = client.set.bind(client);
    let updated: true | null | undefined;
    client.set = (async (...args: Parameters<typeof write>) => {
      // The session was read, and its new text is about to be written.
      updated ??= await internalsOf($.rs).sessions(app).update({
        ref,
        id: '"carol"',
        now: Date.now(),
        ttl: 7300,
        changes: "",
        maxBytes: 1_000_000,
        maxKeys: 1000,
      });
      return write(...args);
    }) as never;
    const set = await rs.set({ app, token, d: Object.fromEntries(Object.keys(keys).map((key) => [key, 1])) });
    expect(updated).toBe(true);
    expect(set).toMatchObject({ id: "carol", ttl: 7300, d: { k0: 1 } });
    expect(await $.rs.get({ app, token })).toMatchObject({ id: "carol", ttl: 7300, d: { k0: 1 } });
    expect(await $.rs.killsoid({ app, id: "carol" })).toEqual({ kill: 1 });
  },
);

import { inspect } from "node:util";
import { expect, test } from "vitest";
import { RedisSessions, SessionError } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { startRedis } from "../support/redis.js";
import { editFields } from "../support/session-text.js";

const t = useEngine();
const app = "webapp";
const d = { card: "s3cr3t-card-number" };

/** Everything that may end up in a log. */
function written(error: unknown): string {
  if (!(error instanceof SessionError)) throw new Error("this is no SessionError");
  const all = [inspect(error, { depth: null, showHidden: true }), JSON.stringify(error), String(error), error.stack];
  return all.join("\n");
}

async function failure(call: () => Promise<unknown>): Promise<unknown> {
  return call().then(
    () => new Error("it did not fail"),
    (error: unknown) => error,
  );
}

test("a validation error contains neither the token nor the data", async () => {
  const token = `${"s3cr3t".repeat(10)}-abc`;
  const refusals = [
    () => t.rs.get({ app, token }),
    () => t.rs.get({ app, ref: token }),
    () => t.rs.killsoid({ app, id: "alice", except: token }),
    () => t.rs.create({ app: "s3cr3t app", id: "alice", ip: "::1" }),
    () => t.rs.create({ app, id: "s3cr3t".repeat(99), ip: "::1" }),
    () => t.rs.create({ app, id: "alice", ip: "s3cr3t".repeat(99) }),
    () => new RedisSessions<object>({ client: t.db, wipe: 0, maxBytes: 10 }).set({ app, ref: "x".repeat(27), d }),
    () => new RedisSessions<object>({ client: t.db, wipe: 0 }).set({ app, ref: "x".repeat(27), d: { a: [d] } }),
  ];
  for (const call of refusals) expect(written(await failure(call))).not.toContain("s3cr3t");
});

test("an error of Redis contains neither token, key nor data", async () => {
  const calls = [
    (token: string) => t.rs.get({ app, token }),
    (token: string) => t.rs.set({ app, token, d }),
    (token: string) => t.rs.kill({ app, token }),
    (token: string) => t.rs.rotate({ app, token }),
    () => t.rs.soapp({ app, dt: 60 }),
    () => t.rs.killsoid({ app, id: "s3cr3t-id" }),
    () => t.create({ d, id: "s3cr3t-id" }),
  ];
  for (const call of calls) {
    await t.db.flushdb();
    const { token, ref } = await t.create({ id: "s3cr3t-id" });
    await editFields(t.db, `rs:{webapp}:s:${ref}`, { la: 0 });
    await t.db.set("rs:{webapp}:active", "not a zset");
    const error = await failure(() => call(token));
    expect(error).toMatchObject({ name: "redisError", code: "ERR_REDIS", cause: expect.any(Error) });
    for (const secret of [token, ref, "s3cr3t", "rs:{"]) expect(written(error)).not.toContain(secret);
  }
});

test("neither does an error in which Redis quotes an unknown command", async () => {
  const redis = await startRedis(["--rename-command", "EVALSHA", ""]);
  const rs = new RedisSessions({ client: redis.client(), wipe: 0 });
  try {
    const error = await failure(() => rs.create({ app, id: "s3cr3t", ip: "::1", d }));
    expect(error).toMatchObject({ name: "redisError", message: expect.stringContaining("unknown command") });
    expect(written(error)).not.toMatch(/s3cr3t|rs:\{/);
  } finally {
    await redis.stop();
  }
});

test("neither does an error of the connection", async () => {
  const client = t.redis.client();
  const rs = new RedisSessions({ client, wipe: 0 });
  const { token, ref } = await rs.create({ app, id: "s3cr3t", ip: "::1" });
  client.disconnect();
  const error = await failure(() => rs.set({ app, token, d }));
  expect(error).toMatchObject({ name: "unavailable" });
  for (const secret of [token, ref, "s3cr3t"]) expect(written(error)).not.toContain(secret);
});

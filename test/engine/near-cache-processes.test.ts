import { fork } from "node:child_process";
import { on } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";

const app = "webapp";
const t = useEngine();
const COUNT = 10_000;
/** Calls that are made together take effect, and are announced, in their order. */
const AT_ONCE = 20;

test("10,000 sessions that one process kills are served by no process after that", { timeout: 120_000 }, async () => {
  const rs = new RedisSessions({
    client: t.redis.client(),
    wipe: 0,
    timeout: 30_000,
    cachetime: 600,
    cachemax: 20_000,
  });
  const tokens: string[] = [];
  while (tokens.length < COUNT) {
    const created = await Promise.all(
      Array.from({ length: 500 }, () => rs.create({ app, id: `u${Math.random()}`, ip: "::1" })),
    );
    for (const { token } of created) tokens.push(token);
  }

  const reader = fork(join(import.meta.dirname, "support/cached-reader.js"), {
    env: { ...process.env, REDIS_URL: t.redis.url },
  });
  const messages = on(reader, "message");
  const next = async () => (await messages.next()).value[0];
  await next();
  reader.send(tokens);
  expect(await next()).toEqual({ isReady: true });

  const read = (some: readonly string[]) => Promise.all(some.map((token) => rs.get({ app, token })));
  // The first reads come before the subscription.
  for (let pass = 0; pass < 2; pass++) {
    for (let from = 0; from < COUNT; from += 500) await read(tokens.slice(from, from + 500));
  }
  const { hits } = rs.cache;
  const served: unknown[] = [];
  for (let from = 0; from < COUNT; from += AT_ONCE) {
    const some = tokens.slice(from, from + AT_ONCE);
    await read(some);
    const killed = some.map((token) => rs.kill({ app, token }).then(() => rs.get({ app, token })));
    for (const session of await Promise.all(killed)) if (session !== null) served.push(session);
  }
  expect(served).toEqual([]);
  // Less than all if this machine is so busy that a subscription is taken for silent.
  expect(rs.cache.hits - hits).toBeGreaterThan(COUNT / 2);

  const end = await next();
  expect(end).toMatchObject({ violations: 0, size: 0 });
  // It has not simply asked Redis each time.
  expect(end.hits).toBeGreaterThan(2 * COUNT);
  reader.disconnect();
  await rs.quit();
});

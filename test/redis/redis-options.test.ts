import { Redis, type RedisOptions } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { openClient } from "../../src/redis/ioredis.js";

/** The message of the error for refused options. Empty if they are accepted. */
function refusal(options: object): string {
  try {
    new RedisSessions({ options: { lazyConnect: true, ...options } as never, wipe: 0 });
  } catch (error) {
    expect(error).toMatchObject({ name: "invalidValue" });
    return (error as Error).message;
  }
  return "";
}

test.each<[object, string]>([
  [{ database: 2 }, "Use db instead"],
  [{ socket: { host: "h", tls: true } }, "Use host, port, path, tls"],
  [{ pingInterval: 1000 }, "Use keepAlive instead"],
  [{ auth_pass: "hunter2" }, "Use password instead"],
  [{ enable_offline_queue: false }, "Use enableOfflineQueue instead"],
  [{ pasword: "hunter2" }, 'Did you mean "password"?'],
  [{ rejectUnauthorized: true }, "Use tls: { rejectUnauthorized } instead"],
  [{ name: "app" }, "connectionName"],
  [{ hunter2hunter2hunter2: true }, "has no such option"],
])("refuses the options %j and names the right ones", (options, meant) => {
  expect(refusal(options)).toContain(meant);
  expect(refusal(options)).not.toMatch(/hunter2/);
});

test.each([
  ["ioredis 6", new Redis({ lazyConnect: true }).options],
  ["ioredis 5", new Redis5({ lazyConnect: true }).options],
])("accepts every option for which %s has a default", (_name, defaults) => {
  for (const name of Object.keys(defaults)) {
    if (name === "name") continue;
    expect(refusal({ [name]: (defaults as Record<string, unknown>)[name] }), name).toBe("");
  }
});

test("detects failovers on the engine's own connection to a Sentinel, unless the options say otherwise", async () => {
  const options = { lazyConnect: true, sentinels: [{ host: "127.0.0.1", port: 1 }], name: "m" };
  const open = (more: object) => openClient({ options: { ...options, ...more } }, 2000).redis.options as RedisOptions;
  expect(open({})).toMatchObject({ failoverDetector: true, disconnectTimeout: 100, socketTimeout: 3000 });
  const own = { failoverDetector: false, disconnectTimeout: 500, socketTimeout: 50 };
  expect(open(own)).toMatchObject(own);
});

test("warns once about a Sentinel's client without failoverDetector", async () => {
  const warnings: (Error & { code?: string })[] = [];
  const note = (warning: Error) => void warnings.push(warning);
  process.on("warning", note);
  const options = { lazyConnect: true, sentinels: [{ host: "127.0.0.1", port: 1 }], name: "m" };
  const client = new Redis(options);
  new RedisSessions({ client, wipe: 0 });
  new RedisSessions({ client, wipe: 0 });
  new RedisSessions({ client: new Redis({ ...options, failoverDetector: true }), wipe: 0 });
  new RedisSessions({ client: new Redis({ lazyConnect: true }), wipe: 0 });
  await new Promise(setImmediate);
  process.off("warning", note);
  expect(warnings.map(({ name, code }) => [name, code])).toEqual([["IoredisSessionsWarning", "NO_FAILOVER_DETECTOR"]]);
});

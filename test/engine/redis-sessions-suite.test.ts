import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { runInThisContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RedisSessions, type RedisSessionsOptions } from "../../src/index.js";
import { startRedis, type TestRedis } from "../support/redis.js";

/** The tests of redis-sessions 4, as its package contains them. They are written for Mocha and should.js. */
const SUITE = "redis-sessions4/dist/test/test.js";

const require = createRequire(import.meta.url);
const engines: RedisSessions[] = [];
let redis: TestRedis;
let count = 0;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await Promise.all(engines.map((rs) => rs.quit()));
  await redis.stop();
});

/**
 * The suite reads 1,500 sessions and waits for 1.5 s, all within a cachetime of 2 s. A busy machine needs longer, so the cachetime
 * and the waits until it is over are longer by this, in seconds.
 */
const MORE_TIME = 2;

/** Stands for the class of redis-sessions, which connects to the default port. */
class Engine extends RedisSessions {
  constructor(options: RedisSessionsOptions) {
    const { cachetime } = options;
    super({ ...options, cachetime: cachetime && cachetime + MORE_TIME, port: redis.port });
    engines.push(this);
  }
}

function wait(ms: number): Promise<void> {
  return sleep(ms >= 2000 && ms < 3000 ? ms + 1000 * MORE_TIME : ms);
}

type Body = (done: () => void) => unknown;

/** What the suite finds instead of Mocha's globals and Node's modules. */
const environment = {
  require(name: string): unknown {
    if (name === "../index") return { __esModule: true, default: Engine };
    if (name === "node:timers/promises") return { setTimeout: wait };
    return require(name);
  },
  exports: {},
  describe,
  it(name: string, body: Body): void {
    count++;
    test(
      name,
      { timeout: 20_000 },
      body.length === 0 ? () => body(() => {}) : () => new Promise<void>((done) => body(done)),
    );
  },
  // They only call back, and end the process.
  before: () => {},
  after: () => {},
};

// One of its messages has a spelling mistake.
const source = readFileSync(require.resolve(SUITE), "utf8").replace("must containt", "must contain");
const suite = runInThisContext(`(function (${Object.keys(environment).join(", ")}) {${source}\n})`, {
  filename: SUITE,
});
suite(...Object.values(environment));

test("all tests of redis-sessions were found", () => expect(count).toBe(88));

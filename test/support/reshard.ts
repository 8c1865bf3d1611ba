import type { Redis } from "ioredis";
import { afterEach, vi } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { RedisSessions, type RedisSessionsOptions, type ShardCount } from "../../src/index.js";
import type { Operation } from "../../src/redis/operation.js";
import type { Resharded, ReshardOptions } from "../../src/sessions/reshard.js";
import type { TestEngine } from "./engine.js";

/** The lease of the engines of tests that move an app, ms. */
export const LEASE = 100;

/** How long the move waits in tests, ms. */
const WAIT = 4 * LEASE;

/** Moves an app as the command does, with a shorter wait. */
export function reshard(
  rs: RedisSessions,
  app: string,
  to: number,
  options: Partial<ReshardOptions> = {},
): Promise<Resharded> {
  return internalsOf(rs).reshard(app, {
    to,
    dryRun: false,
    wait: WAIT,
    signal: new AbortController().signal,
    onProgress: () => {},
    ...options,
  });
}

/** Returns the keys of an app with this number of shards, without those that soon expire by themselves. */
export async function keysOfShards(db: Redis, app: string, shards: number): Promise<string[]> {
  const keys = await db.keys(shards === 1 ? `rs:{${app}}:*` : `rs:{${app}.${shards}.*`);
  return keys.filter((key) => !/\}:(fence|moved):.*$/.test(key));
}

/** Opens other processes for the tests of a file, which move the app `webapp`, and closes them after each test. */
export function useProcesses(t: TestEngine) {
  const engines: RedisSessions[] = [];
  afterEach(async () => {
    vi.restoreAllMocks();
    await Promise.all(engines.splice(0).map((rs) => rs.quit()));
  });

  /** Another process: an engine with a connection of its own. */
  function process(shards: ShardCount, options: RedisSessionsOptions = {}): RedisSessions {
    const rs = new RedisSessions({ client: t.redis.client(), wipe: 0, shards, ...options });
    internalsOf(rs).setLeaseTime(LEASE);
    engines.push(rs);
    return rs;
  }

  /** Writes the state of the app: it is about to move to `next`, or moves from `former`, by plan 7. */
  async function putState(state: { shards: number; next?: number; former?: number }): Promise<void> {
    const { shards, next, former } = state;
    await t.db.zrem("rs:apps", "{webapp}", "{webapp}>", "{webapp}<", "{webapp}!");
    await t.db.zadd("rs:apps", 7, "{webapp}#");
    if (shards > 1) await t.db.zadd("rs:apps", shards, "{webapp}");
    if (next !== undefined) await t.db.zadd("rs:apps", next, "{webapp}>");
    if (former !== undefined) await t.db.zadd("rs:apps", former, "{webapp}<", 1, "{webapp}!");
  }

  return { process, putState };
}

/** A place in the code of a process where it waits. */
export interface Stop {
  /** Resolves when the process waits there. */
  readonly reached: Promise<void>;
  /** Lets it go on. */
  go(): void;
}

/** A promise that is resolved from outside. */
function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** Makes a process wait at the n-th run of a script: before it is sent, or after its reply. */
export function stopAt(rs: RedisSessions, script: string, { nth = 1, after = false } = {}): Stop {
  const { connection } = internalsOf(rs);
  const run = connection.run.bind(connection);
  const [reached, go] = [deferred(), deferred()];
  let count = 0;
  const stopping = async (operation: Operation<never, never, unknown>, ...args: [never, never, never]) => {
    const isHere = operation.script.name === script && ++count === nth;
    const wait = async () => {
      reached.resolve();
      await go.promise;
    };
    if (isHere && !after) await wait();
    const result = await run(operation, ...args);
    if (isHere && after) await wait();
    return result;
  };
  vi.spyOn(connection, "run").mockImplementation(stopping as typeof connection.run);
  return { reached: reached.promise, go: () => go.resolve() };
}

/** Makes a process wait before its next plain command. */
export function stopBeforeCommand(rs: RedisSessions): Stop {
  const { connection } = internalsOf(rs);
  const command = connection.command.bind(connection);
  const [reached, go] = [deferred(), deferred()];
  vi.spyOn(connection, "command").mockImplementationOnce((async (...args: Parameters<typeof command>) => {
    reached.resolve();
    await go.promise;
    return command(...args);
  }) as typeof connection.command);
  return { reached: reached.promise, go: go.resolve };
}

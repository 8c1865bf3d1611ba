import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type Changes,
  type Created,
  type DefaultData,
  RedisSessions,
  type Session,
  type ShardCount,
} from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { readShards, shardOfRef, tagOf } from "../support/shards.js";
import { Model, type Name, show } from "./session-model.js";

const t = useEngine();

const APPS = ["webapp", "app_2"];
const IDS = ["a", "ab", 'a"', "딸기\n"];
const ANONYMOUS: Created = { token: "x".repeat(64), ref: "x".repeat(27) };
const SPAN = 3600;

type Data = Changes<DefaultData>;

/** `pick` chooses one of the sessions so far, alive or not. `by` is how it is named. */
type Step =
  | {
      call: "create";
      app: string;
      id: string;
      d: Data | undefined;
      maxPerUser: number | undefined;
      /** the session that this one replaces */
      replaces: number | undefined;
    }
  | { call: "get"; app: string; pick: number; by: "token" | "ref"; touch: boolean }
  | { call: "set"; app: string; pick: number; by: "token" | "ref"; d: Data }
  | { call: "kill"; app: string; pick: number; by: "token" | "ref" }
  | { call: "expire"; app: string; pick: number }
  | { call: "rotate"; app: string; pick: number; grace: 0 | 1000 }
  | { call: "killsoid"; app: string; id: string; except: number | undefined; by: "token" | "ref" }
  | { call: "killall"; app: string }
  | { call: "soid"; app: string; id: string }
  | { call: "soapp" | "activity"; app: string }
  | { call: "wipe" };

const app = fc.constantFrom(...APPS);
const id = fc.constantFrom(...IDS);
const pick = fc.nat(1000);
const by = fc.constantFrom("token" as const, "ref" as const);
const key = fc.constantFrom("a", "b", "a.b", "", "constructor", "to", "딸기");
const value = fc.oneof(
  fc.string(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
);
const d: fc.Arbitrary<Data> = fc
  .uniqueArray(fc.tuple(key, value), { minLength: 1, maxLength: 4, selector: ([name]) => name })
  .map((entries) => Object.fromEntries(entries));

function call<Name extends Step["call"]>(name: Name): fc.Arbitrary<Name> {
  return fc.constant(name);
}

function perhaps<Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> {
  return fc.option(arbitrary, { nil: undefined });
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 7,
    arbitrary: fc.record({
      call: call("create"),
      app,
      id,
      d: perhaps(d),
      maxPerUser: perhaps(fc.constantFrom(1, 2, 3)),
      replaces: perhaps(pick),
    }),
  },
  { weight: 5, arbitrary: fc.record({ call: call("get"), app, pick, by, touch: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ call: call("set"), app, pick, by, d }) },
  { weight: 3, arbitrary: fc.record({ call: call("kill"), app, pick, by }) },
  { weight: 3, arbitrary: fc.record({ call: call("expire"), app, pick }) },
  { weight: 5, arbitrary: fc.record({ call: call("rotate"), app, pick, grace: fc.constantFrom(0, 1000) }) },
  {
    weight: 2,
    arbitrary: fc.record({ call: call("killsoid"), app, id, except: perhaps(pick), by }),
  },
  { weight: 1, arbitrary: fc.record({ call: call("killall"), app }) },
  { weight: 2, arbitrary: fc.record({ call: call("soid"), app, id }) },
  { weight: 2, arbitrary: fc.record({ call: call("soapp"), app }) },
  { weight: 2, arbitrary: fc.record({ call: call("activity"), app }) },
  { weight: 1, arbitrary: fc.record({ call: call("wipe") }) },
);

/** The engine, the model, and the token for each name in the model. */
class World {
  readonly #rs: RedisSessions;
  readonly #shards: ShardCount;
  readonly #model = new Model();
  readonly #created = new Map<Name, Created>();
  /** How many sessions have expired since the last wipe. */
  #expired = 0;

  constructor(shards: ShardCount) {
    // A new one, as Redis is empty: another would rely on having registered its apps for the wiper.
    this.#rs = new RedisSessions({ client: t.db, wipe: 0, shards });
    this.#shards = shards;
  }

  /** Does the same in both and compares the results. */
  async play(step: Step): Promise<void> {
    const [rs, model] = [this.#rs, this.#model];
    switch (step.call) {
      case "create": {
        const { app, id, d, maxPerUser } = step;
        const replaces = step.replaces === undefined ? undefined : this.#pick(step.replaces, "token");
        if (replaces !== undefined) model.kill(app, replaces.name, "token");
        const created = await rs.create({
          app,
          id,
          ip: "::1",
          ttl: 100_000,
          ...(d !== undefined && { d }),
          ...(maxPerUser !== undefined && { maxPerUser }),
          ...(replaces !== undefined && { replaces: replaces.created.token }),
        });
        this.#created.set(model.create(app, id, d ?? {}), created);
        return maxPerUser === undefined ? undefined : this.#makeRoom(app, id, created.ref, maxPerUser);
      }
      case "get": {
        const { name, which } = this.#pick(step.pick, step.by);
        const actual = await rs.get({ app: step.app, touch: step.touch, ...which });
        return this.#expectSession(actual, model.get(step.app, name, step.touch));
      }
      case "set": {
        const { name, which } = this.#pick(step.pick, step.by);
        const actual = await rs.set({ app: step.app, d: step.d, ...which });
        return this.#expectSession(actual, model.set(step.app, name, step.d));
      }
      case "kill": {
        const { name, which } = this.#pick(step.pick, step.by);
        return expect(await rs.kill({ app: step.app, ...which })).toEqual({
          kill: model.kill(step.app, name, step.by),
        });
      }
      case "expire": {
        const found = model.get(step.app, this.#pick(step.pick, "ref").name, false);
        return found === null ? undefined : this.#expire(step.app, found.name, found.session.id);
      }
      case "rotate": {
        const { name, created } = this.#pick(step.pick, "token");
        const actual = await rs.rotate({ app: step.app, token: created.token, grace: step.grace });
        const next = model.rotate(step.app, name, step.grace > 0);
        expect(actual === null).toBe(next === null);
        if (actual !== null && next !== null) this.#created.set(next, actual);
        return;
      }
      case "killsoid": {
        const { app, id, except } = step;
        if (except === undefined) {
          return expect(await rs.killsoid({ app, id })).toEqual({ kill: model.killsoid(app, id) });
        }
        const { name, created } = this.#pick(except, step.by);
        const actual = await rs.killsoid({ app, id, except: created[step.by] });
        return expect(actual).toEqual({ kill: model.killsoid(app, id, name) });
      }
      case "killall":
        return expect(await rs.killall({ app: step.app })).toEqual({ kill: model.killall(step.app) });
      case "soid":
        return this.#expectSessions((await rs.soid({ app: step.app, id: step.id })).sessions, step.app, step.id);
      case "soapp":
        return this.#expectSessions((await rs.soapp({ app: step.app, dt: SPAN })).sessions, step.app);
      case "activity":
        // A user whose sessions have all expired leaves the count with the wiper.
        await this.play({ call: "wipe" });
        return expect(await rs.activity({ app: step.app, dt: SPAN })).toEqual({ activity: model.activity(step.app) });
      case "wipe": {
        const { wiped } = await rs.wipe();
        // Some have been met, and dropped, in lists.
        expect(wiped).toBeLessThanOrEqual(this.#expired);
        this.#expired = 0;
      }
    }
  }

  /** The oldest sessions of a user made room. Which these are is a matter of milliseconds, which the model has not. */
  async #makeRoom(app: string, id: string, created: string, maxPerUser: number): Promise<void> {
    const left = (await this.#rs.soid({ app, id })).sessions.map(({ ref }) => ref);
    const before = this.#model.sessions(app, id);
    expect(left).toHaveLength(Math.min(before.length, maxPerUser));
    expect(left).toContain(created);
    for (const { name } of before) if (!left.includes(this.#refOf(name))) this.#model.kill(app, name, "ref");
  }

  /** Makes a session expire, and updates the expiry zset. */
  async #expire(app: string, name: Name, id: string): Promise<void> {
    const ref = this.#refOf(name);
    this.#model.kill(app, name, "ref");
    const base = `rs:{${tagOf(app, shardOfRef(ref, this.#shards), this.#shards)}}:`;
    await t.db.pexpire(`${base}s:${ref}`, 0);
    await t.db.zadd(`${base}expiry`, "XX", 1, JSON.stringify(id) + ref);
    this.#expired++;
  }

  #refOf(name: Name): string {
    return this.#created.get(name)?.ref as string;
  }

  /** Compares all that Redis holds with the model. */
  async end(): Promise<void> {
    await this.play({ call: "wipe" });
    for (const app of APPS) {
      await this.play({ call: "soapp", app });
      await this.play({ call: "activity", app });
      for (const id of IDS) await this.play({ call: "soid", app, id });
      const stored = await readShards(t.db, app, this.#shards);
      expect(stored.problems).toEqual([]);
      expect(stored.sessions.sort()).toEqual(
        this.#model
          .sessions(app)
          .map(({ name }) => this.#refOf(name))
          .sort(),
      );
    }
  }

  #pick(pick: number, by: "token" | "ref") {
    const names = [...this.#created.keys()];
    const name = names[pick % (names.length + 1)] ?? -1;
    const created = this.#created.get(name) ?? ANONYMOUS;
    return { name, created, which: by === "token" ? { token: created.token } : { ref: created.ref } };
  }

  #expectSession(actual: Session | null, expected: { name: Name; session: object } | null): void {
    expect(actual === null ? null : { ref: actual.ref, ...show(actual) }).toEqual(
      expected === null ? null : { ref: this.#refOf(expected.name), ...expected.session },
    );
  }

  #expectSessions(sessions: Session[], app: string, id?: string): void {
    const actual = new Map(sessions.map((session) => [session.ref, show(session)]));
    expect(actual.size).toBe(sessions.length);
    const expected = this.#model.sessions(app, id);
    expect(actual).toEqual(new Map(expected.map(({ name, session }) => [this.#refOf(name), session])));
  }
}

test.each<[ShardCount, number]>([
  [1, 300],
  [2, 60],
  [16, 60],
])(
  "with %i shards the engine returns what the model returns, and the index is correct",
  async (shards, numRuns) => {
    const longest = fc.array(step, { minLength: 1, maxLength: 40, size: "max" });
    await fc.assert(
      fc
        .asyncProperty(longest, async (steps) => {
          const world = new World(shards);
          for (const step of steps) await world.play(step);
          await world.end();
        })
        .beforeEach(() => t.db.flushdb()),
      { numRuns },
    );
  },
  60_000,
);

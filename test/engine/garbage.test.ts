import { describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { editFields } from "../support/session-text.js";

// Foreign or damaged data in Redis: every loop must end, and other sessions must not be affected.

const t = useEngine();
const app = "webapp";
const key = (name: string) => `rs:{webapp}:${name}`;

const MEMBERS: [string, Buffer | string][] = [
  ["with a line feed", '"alice"a\nb'],
  ["without an id", "nobody"],
  ["empty", ""],
  ["that is no UTF-8", Buffer.from([0xff, 0xfe, 0x0a])],
  ["of 1 MB", "x".repeat(2 ** 20)],
  ["of 1 MB that begins as an id does", `"${"x".repeat(2 ** 20)}`],
];

describe.each(MEMBERS)("a member %s", (_, member) => {
  test.each(["expiry", "active", "user-sessions-overflow", "users"])(
    "in %s keeps no method from its end",
    async (name) => {
      const living = await t.create({ id: "bob" });
      await t.create();
      for (const score of ["-inf", "+inf", "0"]) await t.db.zadd(key(name), score, member);
      await t.db.hset(
        key("user-sessions"),
        '"alice"',
        `+${(await t.db.hget(key("user-sessions"), '"alice"')) ?? "\n"}`,
      );
      expect((await t.rs.soapp({ app, dt: 60 })).sessions).toHaveLength(2);
      expect((await t.rs.soapp({ app, dt: 60, offset: 1 })).sessions.length).toBeLessThanOrEqual(1);
      expect((await t.rs.soid({ app, id: "alice" })).sessions).toHaveLength(1);
      await t.rs.wipe();
      expect(await t.rs.killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
      expect(await t.rs.get({ app, token: living.token })).toMatchObject({ id: "bob" });
      expect(await t.rs.killall({ app })).toEqual({ kill: 1 });
    },
  );
});

test("killall, wipe and killsoid work with 600 members of one score that are not UTF-8", async () => {
  const binary = (i: number) => Buffer.concat([Buffer.from('"alice"'), Buffer.from([0xf1, 0xff, i >> 8, i & 255])]);
  for (let i = 0; i < 600; i++) await t.db.zadd(key("expiry"), 0, binary(i));
  for (let i = 0; i < 600; i++) await t.db.zadd(key("user-sessions-overflow"), 0, binary(i));
  await t.create();
  await t.db.hset(key("user-sessions"), '"alice"', `+${await t.db.hget(key("user-sessions"), '"alice"')}`);
  expect((await t.rs.soid({ app, id: "alice" })).sessions).toHaveLength(1);
  expect(await t.rs.killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
  await t.create();
  await t.rs.wipe();
  expect(await t.rs.killall({ app })).toEqual({ kill: 1 });
});

test.each(["", "ref", "\nref", "x\nref\n", "\n\n", "\nref\nref\n", "+", "+\n"])(
  "completes every method if user-sessions has a field %j",
  async (field) => {
    await t.create();
    await t.db.hset(key("user-sessions"), '"alice"', field);
    await t.rs.soid({ app, id: "alice" });
    await t.rs.soid({ app, id: "alice", limit: 1 });
    await t.rs.killsoid({ app, id: "alice" });
    await t.create({ maxPerUser: 1 });
    expect((await t.rs.soid({ app, id: "alice" })).sessions).toHaveLength(1);
    await t.rs.killall({ app });
    expect((await t.rs.soapp({ app, dt: 60 })).sessions).toEqual([]);
  },
);

test.each(["", "{}", "no such app", "a}b{c", "x".repeat(100_000)])(
  "an app by the name %.20j keeps no other from being wiped",
  async (name) => {
    const { ref } = await t.create();
    await t.db.zadd("rs:apps", "+inf", name);
    await t.db.del(key(`s:${ref}`));
    await t.db.zadd(key("expiry"), 1, `"alice"${ref}`);
    expect(await t.rs.wipe()).toEqual({ wiped: 1 });
  },
);

test("a session key of another type is left out of lists, and is ended with the others", async () => {
  const { ref } = await t.create();
  const good = await t.create();
  await t.db.del(key(`s:${ref}`));
  await t.db.hset(key(`s:${ref}`), "a", "b");
  for (const part of [{}, { limit: 5 }]) {
    expect((await t.rs.soid({ app, id: "alice", ...part })).sessions.map((one) => one.ref)).toEqual([good.ref]);
    expect((await t.rs.soapp({ app, dt: 60, ...part })).sessions.map((one) => one.ref)).toEqual([good.ref]);
  }
  expect(await t.rs.killall({ app })).toEqual({ kill: 1 });
});

describe("a redirect that points to itself", () => {
  test.each(["get", "set", "kill"] as const)("%s finds no session, after a few commands", async (name) => {
    const { token, ref } = await t.create();
    await t.db.set(key(`s:${ref}`), `>${ref}`, "PX", 60_000);
    const call = () =>
      name === "get"
        ? t.rs.get({ app, token })
        : name === "set"
          ? t.rs.set({ app, token, d: { a: 1 } })
          : t.rs.kill({ app, token });
    const commands = await t.redis.watch(async () => {
      expect(await call()).toEqual(name === "kill" ? { kill: 0 } : null);
    });
    // The last one reads the record of the token's family.
    expect(commands.length).toBeLessThanOrEqual(3);
    await t.rs.killall({ app });
  });

  test("the same holds for a circle of two and for an endless chain", async () => {
    const { token, ref } = await t.create();
    const other = "o".repeat(27);
    await t.db.mset(key(`s:${ref}`), `>${other}`, key(`s:${other}`), `>${ref}`);
    const circle = await t.redis.watch(async () => expect(await t.rs.get({ app, token })).toBeNull());
    expect(circle).toHaveLength(3);
    const link = (i: number) => `${i}`.padStart(27, "c");
    await t.db.set(key(`s:${ref}`), `>${link(0)}`);
    for (let i = 0; i < 500; i++) await t.db.set(key(`s:${link(i)}`), `>${link(i + 1)}`);
    const chain = await t.redis.watch(async () => expect(await t.rs.get({ app, token })).toBeNull());
    expect(chain).toHaveLength(102);
  });
});

test("a damaged session is left out of lists, and its data does not appear in other sessions", async () => {
  const bad = [await t.create({ d: { n: "x" } }), await t.create({ d: { n: "x" } }), await t.create({ d: { n: "x" } })];
  const good = [await t.create({ d: { n: "one" } }), await t.create({ d: { n: "two" } })];
  await editFields(t.db, key(`s:${bad[0]?.ref}`), { '"n"': '"x"},{"n":"injected"' });
  // Together these two are as many objects as two sessions are.
  await editFields(t.db, key(`s:${bad[1]?.ref}`), { '"n"': '"x"},{"n":"a"},{"n":["b"' });
  await editFields(t.db, key(`s:${bad[2]?.ref}`), { '"n"': '1}],"m":[{"n":2}]' });
  for (const { sessions } of [await t.rs.soid({ app, id: "alice" }), await t.rs.soapp({ app, dt: 60 })]) {
    const shown = sessions.map(({ ref, d }) => [ref, d?.n]);
    expect(shown.sort()).toEqual(
      [
        [good[0]?.ref, "one"],
        [good[1]?.ref, "two"],
      ].sort(),
    );
  }
});

test("index keys of another type fail the call, but neither the process nor another app", async () => {
  for (const name of ["expiry", "active", "user-sessions"]) {
    await t.db.flushdb();
    await t.db.set(key(name), "no index");
    const rs = new RedisSessions({ client: t.db, wipe: 0 });
    await expect(
      rs
        .killall({ app })
        .then(() => rs.soapp({ app, dt: 60 }))
        .then(() => rs.soid({ app, id: "alice" })),
    ).rejects.toMatchObject({ name: "redisError" });
    await rs.create({ app: "other", id: "bob", ip: "::1" });
    expect(await rs.killall({ app: "other" })).toEqual({ kill: 1 });
  }
});

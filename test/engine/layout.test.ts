import { afterEach, describe, expect, test, vi } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { dump } from "../support/dump.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
/** Not Redis's time, so sessions get the flag `skew`. */
const NOW = 1_800_000_000_000;

afterEach(() => void vi.restoreAllMocks());

/** Reads a session's text without the flag `skew`. */
async function readText(ref: string): Promise<string | undefined> {
  return (await t.db.get(`rs:{webapp}:s:${ref}`))?.replace(/ skew=\d{14}/, "");
}

test("a session and its index are stored as documented", async () => {
  vi.spyOn(Date, "now").mockReturnValue(NOW);
  const { ref } = await t.create({
    id: "tenant:u9",
    ip: "2001:db8::1",
    ttl: 100,
    device: "Firefox",
    no_resave: true,
    d: { foo: "bar", n: 34, "딸.기": 'a\n"b"', yes: true, zero: -0 },
  });
  vi.restoreAllMocks();
  const { "rs:{webapp}:expiry": expiry, ...rest } = await dump(t.db);
  expect(rest).toEqual({
    "rs:apps": { webapp: `${NOW}` },
    "rs:layout": expect.objectContaining({ la: "1" }),
    "rs:{webapp}:active": { [ref]: `${NOW}` },
    "rs:{webapp}:users": { '"tenant:u9"': `${NOW}` },
    "rs:{webapp}:user-sessions": { '"tenant:u9"': `\n${ref}\n` },
    [`rs:{webapp}:s:${ref}`]: {
      id: '"tenant:u9"',
      ip: '"2001:db8::1"',
      ttl: "100",
      created: `${NOW}`,
      la: `${NOW}`,
      r: "1",
      w: "1",
      device: '"Firefox"',
      no_resave: "1",
      '"foo"': '"bar"',
      '"n"': "34",
      '"딸.기"': '"a\\n\\"b\\""',
      '"yes"': "true",
      '"zero"': "-0",
    },
  });
  // Redis's own clock, whatever ours says.
  const due = Number((expiry as Record<string, string>)[`"tenant:u9"${ref}`]);
  expect(Math.abs(due - (Date.now() + 100_000))).toBeLessThan(5000);
});

test("the text of a session is as documented", async () => {
  vi.spyOn(Date, "now").mockReturnValue(NOW);
  const { token, ref } = await t.create({
    id: 'tenant:"u9"',
    ip: "2001:db8::1",
    ttl: 100,
    device: "Firefox",
    no_resave: true,
    d: { foo: "bar", 'a"b\\\n': null, n: 34, '"\\\n': 'a\n"b"', yes: true, zero: -0 },
  });
  const lines = [
    `${NOW}`,
    "1",
    "1",
    "100 no_resave",
    `${NOW}`,
    '"tenant:\\"u9\\""',
    '"2001:db8::1"',
    '"Firefox"',
    '"foo":"bar"',
    '"n":34',
    '"\\u0022\\u005c\\n":"a\\n\\"b\\""',
    '"yes":true',
    '"zero":-0',
  ];
  expect(await readText(ref)).toBe(lines.join("\n"));
  await t.rs.get({ app, token });
  lines[1] = "2";
  expect(await readText(ref)).toBe(lines.join("\n"));
  vi.spyOn(Date, "now").mockReturnValue(NOW + 60_000);
  await t.rs.set({ app, token, d: { foo: null, '"\\\n': 1, n: 35, more: "x" } });
  lines.splice(0, 3, `${NOW + 60_000}`, "2", "2");
  lines.splice(8, 3, '"n":35', '"\\u0022\\u005c\\n":1');
  expect(await readText(ref)).toBe([...lines, '"more":"x"'].join("\n"));
});

test("a session without device and data has eight lines, one of them its absolute end", async () => {
  vi.spyOn(Date, "now").mockReturnValue(NOW);
  const { ref } = await t.create({ ttl: 100, absolute: 3600 });
  vi.restoreAllMocks();
  const text = await readText(ref);
  const [, end] =
    /^1800000000000\n1\n1\n100 until (\d+)\n1800000000000\n"alice"\n"127\.0\.0\.1"\n$/.exec(`${text}`) ?? [];
  // Redis's own clock, whatever ours says.
  expect(Math.abs(Number(end) - (Date.now() + 3_600_000))).toBeLessThan(5000);
});

test.each([
  ["ahead of", 3_600_000, /^ skew=0000000\d{7}$/],
  ["behind", -3_600_000, /^ skew=-000000\d{7}$/],
])("a clock that is %s Redis's is recorded in 14 characters", async (_how, skew, flag) => {
  vi.spyOn(Date, "now").mockReturnValue(Date.now() + skew);
  const { ref } = await t.create({ ttl: 100 });
  const flags = (await t.db.get(`rs:{webapp}:s:${ref}`))?.split("\n")[3]?.slice("100".length);
  expect(flags).toMatch(flag);
  expect(Math.abs(Number(flags?.slice(" skew=".length)) - skew)).toBeLessThan(5000);
});

test("leaves a redirect to the new ref after rotate, and a tombstone when the session was replaced", async () => {
  const { token, ref } = await t.create();
  const rotated = await t.rs.rotate({ app, token });
  expect(await t.db.get(`rs:{webapp}:s:${ref}`)).toBe(`>${rotated?.ref}`);
  const next = await t.create({ replaces: `${rotated?.token}` });
  expect(await t.db.get(`rs:{webapp}:s:${rotated?.ref}`)).toBe(">");
  await t.rs.rotate({ app, token: next.token, grace: 0 });
  expect(await t.db.get(`rs:{webapp}:s:${next.ref}`)).toBe(">");
});

describe("the version of the layout", () => {
  test("is written with the first session of a namespace, and never overwritten", async () => {
    await t.create();
    expect(await t.db.get("rs:layout")).toBe("1");
    await new RedisSessions({ client: t.db, wipe: 0 }).create({ app: "webapp2", id: "alice", ip: "::1" });
    expect(await t.db.get("rs:layout")).toBe("1");
  });

  test("refuses a sign-in if a newer package wrote it, and names both versions", async () => {
    await t.db.set("rs:layout", "2");
    await expect(t.create()).rejects.toMatchObject({
      name: "redisError",
      message: 'The sessions in Redis have the storage layout "2", not 1',
      hint: expect.stringContaining("rs:layout"),
    });
    expect(await t.db.get("rs:layout")).toBe("2");
  });
});

test("the keys have the documented types, and only sessions expire", async () => {
  const { ref } = await t.create({ ttl: 100 });
  const types: Record<string, string> = {};
  for (const key of await t.db.keys("*")) {
    types[key] = await t.db.type(key);
    if (!key.includes(":s:")) expect(await t.db.ttl(key)).toBe(-1);
  }
  expect(types).toEqual({
    "rs:apps": "zset",
    "rs:layout": "string",
    "rs:{webapp}:active": "zset",
    "rs:{webapp}:users": "zset",
    "rs:{webapp}:user-sessions": "hash",
    "rs:{webapp}:expiry": "zset",
    [`rs:{webapp}:s:${ref}`]: "string",
  });
  expect(await t.db.ttl(`rs:{webapp}:s:${ref}`)).toBeOneOf([99, 100]);
});

test("the text of a usual session has at most 200 bytes", async () => {
  const d = { name: "Alice", cart: 3, theme: "dark", csrf: "x".repeat(32), admin: false };
  const { ref } = await t.create({ id: "alice@example.com", device: "Firefox on Linux", d });
  expect(await t.db.strlen(`rs:{webapp}:s:${ref}`)).toBeLessThanOrEqual(200);
});

test("the sessions of a user can be read with HGET", async () => {
  const refs = [(await t.create({ id: "a" })).ref, (await t.create({ id: "a" })).ref];
  const { ref: other } = await t.create({ id: "ab" });
  const { ref: quoted } = await t.create({ id: 'a"' });
  expect(await t.db.hget("rs:{webapp}:user-sessions", '"a"')).toBe(`\n${refs.join("\n")}\n`);
  expect(await t.db.hget("rs:{webapp}:user-sessions", '"ab"')).toBe(`\n${other}\n`);
  expect(await t.db.hget("rs:{webapp}:user-sessions", '"a\\""')).toBe(`\n${quoted}\n`);
  expect(await t.db.exists("rs:{webapp}:user-sessions-overflow")).toBe(0);
});

test("the sessions in the overflow of a user can be read with ZRANGE BYLEX", async () => {
  const refs: string[] = [];
  for (let i = 0; i < 150; i++) refs.push((await t.create({ id: "a" })).ref);
  for (const id of ["ab", 'a"']) await Promise.all(Array.from({ length: 150 }, () => t.create({ id })));
  const field = `${await t.db.hget("rs:{webapp}:user-sessions", '"a"')}`;
  // The last ref in the field begins below 4096 bytes.
  expect(field).toBe(`+\n${refs.slice(0, 147).join("\n")}\n`);
  expect(field.length - 1 - 28).toBeLessThan(4096);
  const found = await t.db.zrange("rs:{webapp}:user-sessions-overflow", '["a"', '("a"\xff', "BYLEX");
  expect(found).toEqual(
    refs
      .slice(147)
      .map((ref) => `"a"${ref}`)
      .sort(),
  );
  expect(await t.db.zcard("rs:{webapp}:user-sessions-overflow")).toBe(9);
});

test("the expiry zset is not written when a session is used", async () => {
  vi.spyOn(Date, "now").mockReturnValue(NOW);
  const { token, ref } = await t.create();
  const due = await t.db.zscore("rs:{webapp}:expiry", `"alice"${ref}`);
  vi.spyOn(Date, "now").mockReturnValue(NOW + 60_000);
  await t.rs.get({ app, token });
  await t.rs.set({ app, token, d: { a: 1 } });
  expect(await t.db.zscore("rs:{webapp}:active", ref)).toBe(`${NOW + 60_000}`);
  expect(await t.db.zscore("rs:{webapp}:users", '"alice"')).toBe(`${NOW + 60_000}`);
  expect(await t.db.zscore("rs:{webapp}:expiry", `"alice"${ref}`)).toBe(due);
});

test("no token is ever stored in Redis, and every session key always has a TTL", async () => {
  const tokens: string[] = [];
  async function look(): Promise<void> {
    const everything = JSON.stringify(await dump(t.db));
    for (const token of tokens) expect(everything).not.toContain(token);
    for (const key of await t.db.keys("rs:{webapp}:s:*")) expect(await t.db.pttl(key)).toBeGreaterThan(0);
  }

  for (let i = 0; i < 3; i++) {
    const { token } = await t.create({ d: { n: i } });
    tokens.push(token);
    await t.rs.get({ app, token });
    await t.rs.set({ app, token, d: { m: 1 } });
    await look();
    const rotated = await t.rs.rotate({ app, token });
    tokens.push(`${rotated?.token}`);
    await look();
    await t.rs.get({ app, token });
    await t.rs.set({ app, token, d: { m: 2 } });
    await look();
  }
  expect(await t.db.keys("rs:{webapp}:s:*")).toHaveLength(6);
  await t.rs.killsoid({ app, id: "alice", except: `${tokens[3]}` });
  await look();
  await t.rs.kill({ app, token: `${tokens[3]}` });
  await look();
});

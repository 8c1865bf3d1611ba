import { afterEach, expect, test, vi } from "vitest";
import { dump } from "../support/dump.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
const NOW = 1_800_000_000_000;

afterEach(() => void vi.restoreAllMocks());

test("a session and its index lie where the documentation says", async () => {
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
    "rs:apps": ["webapp"],
    "rs:{webapp}:active": { [ref]: `${NOW}` },
    "rs:{webapp}:users": { '"tenant:u9"': `${NOW}` },
    "rs:{webapp}:owners": { [`"tenant:u9"${ref}`]: "0" },
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

test("the keys have the types that the documentation says, and only sessions end", async () => {
  const { ref } = await t.create({ ttl: 100 });
  const types: Record<string, string> = {};
  for (const key of await t.db.keys("*")) {
    types[key] = await t.db.type(key);
    if (!key.includes(":s:")) expect(await t.db.ttl(key)).toBe(-1);
  }
  expect(types).toEqual({
    "rs:apps": "set",
    "rs:{webapp}:active": "zset",
    "rs:{webapp}:users": "zset",
    "rs:{webapp}:owners": "zset",
    "rs:{webapp}:expiry": "zset",
    [`rs:{webapp}:s:${ref}`]: "hash",
  });
  expect(await t.db.ttl(`rs:{webapp}:s:${ref}`)).toBeOneOf([99, 100]);
});

test("the hash of a usual session stays a listpack", async () => {
  const d = { name: "Alice", cart: 3, theme: "dark", csrf: "x".repeat(32), admin: false };
  const { ref } = await t.create({ id: "alice@example.com", device: "Firefox on Linux", d });
  expect(await t.db.object("ENCODING", `rs:{webapp}:s:${ref}`)).toBe("listpack");
});

test("the sessions of a user can be read with ZRANGE BYLEX", async () => {
  const refs = [(await t.create({ id: "a" })).ref, (await t.create({ id: "a" })).ref];
  await t.create({ id: "ab" });
  await t.create({ id: 'a"' });
  const found = await t.db.zrange("rs:{webapp}:owners", '["a"', '("a"\xff', "BYLEX");
  expect(found).toEqual(refs.map((ref) => `"a"${ref}`).sort());
});

test("the wiper's queue is not written when a session is used", async () => {
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

test("no token is found anywhere in Redis, and every session key ends, all through a session's life", async () => {
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

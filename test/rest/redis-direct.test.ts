import { sign } from "cookie-signature";
import { afterAll, beforeAll, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";
import { findProgram, nameOf, startProgram } from "../support/programs.js";

const python = findProgram(["python3", "/usr/bin/python3"], ["-c", "import redis"]);
const SECRET = "keyboard cat and 19 more characters";

const t = useEngine({ nested: true });
let server: Awaited<ReturnType<typeof startProgram>> | undefined;

beforeAll(async () => {
  if (python === undefined) return;
  const env = { REDIS_URL: t.redis.url, APP: "webapp", SESSION_SECRET: `${SECRET},older secret` };
  server = await startProgram(python, ["examples/redis-direct.py"], env);
});
afterAll(() => server?.stop());

async function get(headers: Record<string, string>): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${server?.url}/`, { headers });
  return { status: response.status, body: await response.json() };
}

function testIfInstalled(name: string, check: () => Promise<void>): void {
  const full = nameOf(`redis-direct.py ${name}`, python, "no python3 with the module redis");
  test.skipIf(python === undefined)(full, check);
}

testIfInstalled("returns the same session as the engine for a token in a header", async () => {
  const d = { theme: "dark", visits: 3, vip: true, 'k"e\\y\n': 'v"\n딸기', list: [1, { a: null }], big: 1e300 };
  const { token, ref } = await t.create({
    id: 'a"l\\ice@딸기',
    device: "Firefox",
    // This engine accepts nested values, but its type does not.
    d: d as never,
  });
  const { status, body } = await get({ Authorization: `Bearer ${token}` });
  expect(status).toBe(200);
  const { idle: _idle, expires: _expires, ...session } = { ...(await t.rs.get({ app: "webapp", ref, touch: false })) };
  expect(body).toEqual(session);
  expect(body).toMatchObject({ d });
});

testIfInstalled("reads the session by the middleware's cookie and refuses a forged cookie", async () => {
  const { token } = await t.create();
  for (const secret of [SECRET, "older secret"]) {
    const cookie = `a=b; rs=${encodeURIComponent(sign(token, secret))}; c=d`;
    expect(await get({ Cookie: cookie })).toMatchObject({ status: 200, body: { id: "alice", d: {} } });
  }
  for (const value of [sign(token, "guessed"), token, `${token}.`, `${token}.é`, "", `s:${sign(token, SECRET)}`]) {
    expect((await get({ Cookie: `rs=${encodeURIComponent(value)}` })).status).toBe(401);
  }
});

testIfInstalled("does not change the session", async () => {
  const { token, ref } = await t.create();
  const key = `rs:{webapp}:s:${ref}`;
  const before = await t.db.get(key);
  expect((await get({ Authorization: `Bearer ${token}` })).status).toBe(200);
  expect(await t.db.get(key)).toEqual(before);
});

testIfInstalled("follows a rotated token and returns no ended session", async () => {
  const { token } = await t.create();
  const ask = () => get({ Authorization: `Bearer ${token}` });
  const rotated = await t.rs.rotate({ app: "webapp", token });
  expect(await ask()).toMatchObject({ status: 200, body: { ref: rotated?.ref } });
  await t.rs.killsoid({ app: "webapp", id: "alice" });
  expect((await ask()).status).toBe(401);
});

testIfInstalled("uses the first cookie with a valid signature and ignores malformed cookies", async () => {
  const { token } = await t.create();
  const good = encodeURIComponent(sign(token, SECRET));
  const bad = encodeURIComponent(sign(token, "another secret"));
  for (const cookie of [`x={"a":1}; rs=${good}`, `rs=${bad}; rs=${good}`, `rs=${good}; rs=${bad}`, `a;;rs=${good}`]) {
    expect((await get({ Cookie: cookie })).status).toBe(200);
  }
});

testIfInstalled("answers 401 without a valid token", async () => {
  const headers: Record<string, string>[] = [
    {},
    { Authorization: "Bearer" },
    { Authorization: `Bearer ${"x".repeat(64)}` },
    { Authorization: `Basic ${"x".repeat(64)}` },
    { Authorization: "Bearer rs:{webapp}:users" },
    { Cookie: "rs" },
    { Cookie: 'rs="; =;;' },
  ];
  for (const one of headers) expect((await get(one)).status).toBe(401);
});

testIfInstalled("answers 503 while Redis is down", async () => {
  await t.redis.kill();
  try {
    expect((await get({ Authorization: `Bearer ${"x".repeat(64)}` })).status).toBe(503);
  } finally {
    await t.redis.start();
  }
  await expect.poll(async () => (await get({ Authorization: `Bearer ${"x".repeat(64)}` })).status).toBe(401);
});

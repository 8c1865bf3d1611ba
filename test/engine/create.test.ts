import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";

test("returns a token of 64 letters and digits and its ref, and nothing else", async () => {
  const created = await t.create();
  expect(Object.keys(created).sort()).toEqual(["ref", "token"]);
  expect(created.token).toMatch(/^[A-Za-z0-9]{64}$/);
  const digest = createHash("sha256").update(created.token).digest("base64url");
  expect(created.ref).toBe(created.token[0] + digest.slice(0, 26));
  expect(created.ref).toMatch(/^[\w-]{27}$/);
});

test("never returns a token twice, and uses all of A-Z a-z 0-9", async () => {
  const tokens = await Promise.all(Array.from({ length: 200 }, async () => (await t.create()).token));
  expect(new Set(tokens).size).toBe(200);
  expect(new Set(tokens.join("")).size).toBe(62);
});

test("counts reads and writes from 1, and sets a ttl of two hours", async () => {
  const before = Date.now();
  const { token, ref } = await t.create();
  const session = await t.rs.get({ app, token });
  expect(session).toEqual({
    ref,
    id: "alice",
    ip: "127.0.0.1",
    r: 1,
    w: 1,
    ttl: 7200,
    idle: 0,
    created: expect.any(Number),
    expires: expect.any(Number),
    authTime: expect.any(Number),
  });
  expect(session?.created).toBeGreaterThanOrEqual(before);
  expect(session?.created).toBeLessThanOrEqual(Date.now());
});

test("stores ip, ttl, device, no_resave and data", async () => {
  const { token } = await t.create({
    ip: "2001:db8::1",
    ttl: 10,
    device: 'Firefox "on"\nLinux',
    no_resave: true,
    d: { a: 1, b: "x" },
  });
  expect(await t.rs.get({ app, token })).toMatchObject({
    ip: "2001:db8::1",
    ttl: 10,
    device: 'Firefox "on"\nLinux',
    no_resave: true,
    d: { a: 1, b: "x" },
  });
});

test.each([
  ["an ip of 39 characters", { ip: "2001:0db8:85a3:0000:0000:8a2e:0370:7334" }],
  ["a device of 64 characters", { device: "d".repeat(64) }],
  ["an app of 3 characters", { app: "a-_" }],
  ["an app of 20 characters", { app: "A".repeat(20) }],
  ["the longest ttl", { ttl: 9_007_199_254_740 }],
])("accepts %s", async (_what, options) => {
  const { token } = await t.create(options);
  expect(await t.rs.get({ app, ...options, token })).toMatchObject("app" in options ? {} : options);
  expect(await t.rs.kill({ app, ...options, token })).toEqual({ kill: 1 });
});

describe("data", () => {
  test("leaves out keys whose value is null", async () => {
    const { token } = await t.create({ d: { a: null, b: 1 } });
    expect((await t.rs.get({ app, token }))?.d).toEqual({ b: 1 });
  });

  test("is absent if all its values are null; so are no_resave and device if they were not set", async () => {
    const { token } = await t.create({ d: { a: null }, no_resave: false });
    const session = await t.rs.get({ app, token });
    for (const name of ["d", "no_resave", "device"]) expect(session).not.toHaveProperty(name);
  });

  test("may have thousands of keys", async () => {
    const d = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`key${i}`, i]));
    const rs = new RedisSessions({ client: t.db, wipe: 0, maxKeys: 20_000 });
    const { token } = await rs.create({ app, id: "alice", ip: "::1", d });
    expect((await t.rs.get({ app, token }))?.d).toEqual(d);
  });
});

test("registers the app with the wiper", async () => {
  await t.create();
  await t.create({ app: "other" });
  expect((await t.db.zrange("rs:apps", "0", "-1")).sort()).toEqual(["other", "webapp"]);
});

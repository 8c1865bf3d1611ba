import { describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
/** More than a script reads of a session. */
const LARGE = "x".repeat(300_000);

/** Changes the text of a session, for example to pretend that it was created earlier. */
async function edit(ref: string, change: (text: string) => string): Promise<void> {
  const key = `rs:{webapp}:s:${ref}`;
  await t.db.set(key, change(`${await t.db.get(key)}`), "KEEPTTL");
}

/** Pretends that a session was created an hour ago, and returns that time. */
async function makeOlder(ref: string): Promise<number> {
  const created = Date.now() - 3_600_000;
  await edit(ref, (text) => text.replace(/^((?:.*\n){4}).*/, `$1${created}`));
  return created;
}

describe("confirm", () => {
  test("sets authTime, which is the time of creation before, to now", async () => {
    const { token, ref } = await t.create({ d: { cart: 3 }, device: "Firefox" });
    const created = await makeOlder(ref);
    const session = await t.rs.get({ app, token });
    expect(session).toMatchObject({ created, authTime: created });

    const before = Date.now();
    const confirmed = await t.rs.confirm({ app, token });
    expect(confirmed).toEqual({ ...session, r: 2, authTime: expect.any(Number) });
    expect(confirmed?.authTime).toBeGreaterThanOrEqual(before);
    expect(confirmed?.authTime).toBeLessThanOrEqual(Date.now());
    expect(await t.rs.get({ app, token, touch: false })).toEqual(confirmed);
    expect((await t.rs.soid({ app, id: "alice" })).sessions).toEqual([confirmed]);
  });

  test("takes a ref, and can be repeated", async () => {
    const { ref } = await t.create();
    const first = await t.rs.confirm({ app, ref });
    await edit(ref, (text) => text.replace(/ authTime=\d+/, " authTime=1000000000000"));
    const second = await t.rs.confirm({ app, ref });
    expect(second?.authTime).toBeGreaterThanOrEqual(first?.authTime as number);
    expect(await t.db.get(`rs:{webapp}:s:${ref}`)).toMatch(/^\d+\n1\n1\n7200 authTime=\d{13}\n\d+\n"alice"\n/);
  });

  test("keeps the expiry, no_resave and absolute", async () => {
    const { token, ref } = await t.create({ ttl: 60, no_resave: true, absolute: 60 });
    await t.db.pexpire(`rs:{webapp}:s:${ref}`, 5_000);
    expect(await t.rs.confirm({ app, token })).toMatchObject({ no_resave: true });
    expect(await t.db.pttl(`rs:{webapp}:s:${ref}`)).toBeLessThanOrEqual(5_000);
    expect(await t.db.get(`rs:{webapp}:s:${ref}`)).toMatch(/\n60 no_resave until \d+ authTime=\d+\n/);
  });

  test("follows the redirect of a rotated session, and rotate keeps authTime", async () => {
    const { token } = await t.create();
    await t.rs.rotate({ app, token });
    const confirmed = await t.rs.confirm({ app, token });
    expect(confirmed?.authTime).toBeGreaterThan(confirmed?.created as number);
    const { sessions } = await t.rs.soid({ app, id: "alice" });
    const again = await t.rs.rotate({ app, token: `${(await t.rs.create({ app, id: "bob", ip: "::1" })).token}` });
    expect(again).not.toBeNull();
    expect(sessions).toEqual([confirmed]);
  });

  test("returns null for a session that does not exist, and revives none", async () => {
    const { token, ref } = await t.create();
    await t.rs.kill({ app, token });
    expect(await t.rs.confirm({ app, token })).toBeNull();
    expect(await t.rs.rotate({ app, token: (await t.create()).token, grace: 0 })).not.toBeNull();
    expect(await t.db.exists(`rs:{webapp}:s:${ref}`)).toBe(0);
  });

  test("refuses a session of RedisStore, and a user who is not the session's", async () => {
    await expect(t.rs.confirm({ app, ref: "~abc" })).rejects.toMatchObject({
      name: "invalidValue",
      message: "confirm does not change a session of RedisStore",
    });
    const { ref } = await t.create();
    await expect(t.rs.confirm({ app, ref, id: "bob" } as never)).rejects.toMatchObject({ name: "invalidValue" });
  });

  describe("of a session that is larger than a script reads", () => {
    test("changes it in place, and not its data", async () => {
      const { token, ref } = await t.create({ d: { note: LARGE } });
      const created = await makeOlder(ref);
      const commands = await t.redis.watch(async () => {
        const confirmed = await t.rs.confirm({ app, token });
        expect(confirmed?.authTime).toBeGreaterThan(created);
        expect(confirmed?.d).toEqual({ note: LARGE });
      });
      expect(commands.filter(([name]) => /^(set|rename)$/i.test(name ?? ""))).toEqual([]);
    });

    test("changes one that has grown by set", async () => {
      const { token, ref } = await t.create({ d: { note: "x" } });
      await t.rs.set({ app, token, d: { note: LARGE } });
      const created = await makeOlder(ref);
      expect((await t.rs.confirm({ app, token }))?.authTime).toBeGreaterThan(created);
      expect(await t.rs.get({ app, token })).toMatchObject({ d: { note: LARGE } });
    });

    test("changes one that has no room for the flag", async () => {
      const { token, ref } = await t.create({ d: { note: LARGE } });
      await edit(ref, (text) => text.replace(/^((?:.*\n){3}\d+) +\n/, "$1\n"));
      const created = await makeOlder(ref);
      const confirmed = await t.rs.confirm({ app, token });
      expect(confirmed?.authTime).toBeGreaterThan(created);
      expect(confirmed).toMatchObject({ w: 1, d: { note: LARGE } });
    });
  });
});

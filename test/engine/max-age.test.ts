import { describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
const DAY = 86_400;

async function created(options: Parameters<typeof t.create>[0]) {
  const { token } = await t.create(options);
  return { token, session: await t.rs.get({ app, token, touch: false }) };
}

describe("create with maxAge", () => {
  test.each([30 * DAY, null])("stores %j with the session, also through set, rotate and lists", async (maxAge) => {
    const { token, session } = await created({ maxAge, absolute: 90 * DAY, no_resave: true });
    expect(session).toMatchObject({ maxAge, no_resave: true });
    expect(await t.rs.set({ app, token, d: { a: 1 } })).toMatchObject({ maxAge, d: { a: 1 } });
    const rotated = await t.rs.rotate({ app, token });
    expect(await t.rs.get({ app, token: `${rotated?.token}` })).toMatchObject({ maxAge });
    expect(await t.rs.soid({ app, id: "alice" })).toMatchObject({ sessions: [{ maxAge }] });
  });

  test("takes text of digits, like all numbers", async () => {
    expect((await created({ maxAge: `${DAY}` as never })).session).toMatchObject({ maxAge: DAY, ttl: DAY });
  });

  test("is part of a session that is too large for one script", async () => {
    const { token, session } = await created({ maxAge: 30 * DAY, d: { big: "x".repeat(400_000) } });
    expect(session).toMatchObject({ maxAge: 30 * DAY });
    expect(await t.rs.set({ app, token, d: { a: 1 } })).toMatchObject({ maxAge: 30 * DAY });
  });

  test("is absent from a session that was created without it", async () => {
    const { session } = await created({});
    expect(session).not.toHaveProperty("maxAge");
  });

  test.each<[object, number]>([
    [{ maxAge: 30 * DAY }, 30 * DAY],
    [{ maxAge: 60 }, 7200],
    [{ maxAge: null }, 7200],
    [{ maxAge: 30 * DAY, ttl: 600 }, 600],
    [{ maxAge: 30 * DAY, absolute: 3600 }, 3600],
  ])("makes the default of ttl at least as long: %j", async (options, ttl) => {
    expect((await created(options)).session).toMatchObject({ ttl });
  });

  test.each([0, -1, 1.5, 400 * DAY + 1, 30 * DAY * 1000, "a day", "", {}, true])("refuses %j", async (maxAge) => {
    await expect(t.create({ maxAge: maxAge as number })).rejects.toMatchObject({
      name: "invalidValue",
      message: "maxAge must be seconds, an integer from 1 to 34560000, or null",
    });
  });
});

test("set, get and kill refuse a maxAge that is not the session's", async () => {
  const { ref } = await t.create({ maxAge: null });
  const session = await t.rs.get({ app, ref, touch: false });
  const other = { app, ref, ...{ maxAge: 60 } };
  for (const call of [t.rs.get(other), t.rs.kill(other), t.rs.set({ ...other, d: { a: 1 } })]) {
    await expect(call).rejects.toMatchObject({ name: "invalidValue" });
  }
  expect(await t.rs.get({ app, ...session, ref })).toMatchObject({ maxAge: null });
});

test("is a flag on line 4 of the session's text", async () => {
  const refs = [await t.create({ maxAge: 60, absolute: 7200 }), await t.create({ maxAge: null })].map(({ ref }) => ref);
  const line4 = await Promise.all(refs.map(async (ref) => (await t.db.get(`rs:{webapp}:s:${ref}`))?.split("\n")[3]));
  expect(line4).toEqual([expect.stringMatching(/^7200 maxAge=60 until \d+$/), "7200 maxAge=session"]);
});

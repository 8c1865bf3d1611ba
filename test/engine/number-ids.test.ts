import { describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
const ip = "127.0.0.1";

describe("an id that is a safe integer", () => {
  test.each([42, 0, -7, Number.MAX_SAFE_INTEGER])("is stored and returned as text: %d", async (id) => {
    const { token } = await t.rs.create({ app, id, ip });
    expect(await t.rs.get({ app, token })).toMatchObject({ id: String(id) });
    const { sessions } = await t.rs.soid({ app, id });
    expect(sessions).toEqual([expect.objectContaining({ id: String(id) })]);
    expect((await t.rs.soid({ app, id: String(id) })).sessions).toEqual(sessions);
    expect(await t.rs.killsoid({ app, id })).toEqual({ kill: 1 });
  });

  test("is the same user as its text", async () => {
    await t.rs.create({ app, id: 42, ip });
    await t.rs.create({ app, id: "42", ip });
    expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 1 });
    expect(await t.rs.killsoid({ app, id: 42 })).toEqual({ kill: 2 });
  });

  test("counts for maxPerUser", async () => {
    await t.rs.create({ app, id: "42", ip });
    const login = t.rs.create({ app, id: 42, ip, maxPerUser: 1, overflow: "reject" });
    await expect(login).rejects.toMatchObject({ name: "tooManySessions" });
  });

  test("is compared as text by get, set and kill", async () => {
    const { token, ref } = await t.rs.create({ app, id: 42, ip });
    // As JavaScript may call it: the types of these options have no id.
    const rs = t.rs as unknown as Record<"get" | "set" | "kill", (options: object) => Promise<unknown>>;
    expect(await rs.get({ app, token, id: 42 })).toMatchObject({ id: "42" });
    await expect(rs.kill({ app, ref, id: 43 })).rejects.toMatchObject({ name: "invalidValue" });
    await expect(rs.kill({ app, ref, id: "042" })).rejects.toMatchObject({ name: "invalidValue" });
    expect(await rs.set({ app, token, id: 42, d: { a: 1 } })).toMatchObject({ d: { a: 1 } });
    expect(await rs.kill({ app, ref, id: 42 })).toEqual({ kill: 1 });
  });
});

describe("the hint for an id of another type", () => {
  class ObjectId {
    toString(): string {
      return "507f1f77bcf86cd799439011";
    }
  }
  const pass = "a string of 1 to 128 characters or a safe integer";

  test.each<[string, unknown, string]>([
    ["names the class of an object", new ObjectId(), `${pass}, not an ObjectId: pass String(id)`],
    ["names a bigint", 7n, `${pass}, not a bigint: pass String(id)`],
    ["quotes a number", 2 ** 53, `${pass}, not 9007199254740992: pass it as text`],
    ["names NaN", Number.NaN, `${pass}, not NaN`],
    ["asks for the id of a plain object", { id: 7 }, `${pass}, not an object: pass its id, such as user.id`],
    ["names a function", () => 7, `${pass}, not a function`],
    ["names an array", [7], `${pass}, not an array`],
  ])("%s", async (_what, id, hint) => {
    await expect(t.rs.create({ app, id: id as string, ip })).rejects.toMatchObject({
      message: "Invalid id format",
      hint,
    });
  });
});

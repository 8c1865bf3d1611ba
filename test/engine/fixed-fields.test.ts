import { describe, expect, test } from "vitest";
import type { Session } from "../../src/index.js";
import { dump } from "../support/dump.js";
import { useEngine } from "../support/engine.js";
import { editFields } from "../support/session-text.js";

const t = useEngine();
const app = "webapp";

/** Creates a session with every field, and returns it as `get` does with touch: false. */
async function createFull(no_resave = false): Promise<Session> {
  const { ref } = await t.create({ device: "Firefox", ttl: 3600, no_resave, d: { a: 1 } });
  return (await t.rs.get({ app, ref, touch: false })) as Session;
}

const METHODS: [string, (options: { app: string; ref: string }) => Promise<unknown>][] = [
  ["set", (options) => t.rs.set({ d: { a: 2 }, ...options })],
  ["get", (options) => t.rs.get(options)],
  ["kill", (options) => t.rs.kill(options)],
];

const OTHERS: [string, unknown][] = [
  ["ttl", 60],
  ["ttl", "3601"],
  ["no_resave", true],
  ["ip", "192.0.2.1"],
  ["device", "Chrome"],
  ["id", "bob"],
  ["id", null],
];

describe.each(METHODS)("%s", (name, call) => {
  test.each(OTHERS)("refuses a %s of %j that is not the session's, and changes nothing", async (field, value) => {
    const { ref } = await createFull();
    const before = await dump(t.db);
    await expect(call({ app, ref, ...{ [field]: value } })).rejects.toMatchObject({
      name: "invalidValue",
      message: `${name} does not change ${field}, and the value passed in is not the session's`,
      hint: `leave ${field} out`,
    });
    expect(await dump(t.db)).toEqual(before);
  });

  test("refuses a device if the session has none, and no_resave: false if it is no_resave", async () => {
    const { ref } = await t.create({ no_resave: true });
    for (const options of [{ device: "Firefox" }, { no_resave: false }]) {
      await expect(call({ app, ref, ...options })).rejects.toMatchObject({ name: "invalidValue" });
    }
  });

  test.each([false, true])("accepts a whole session, with no_resave: %j", async (no_resave) => {
    const session = await createFull(no_resave);
    expect(await call({ app, ...session, ...(name === "set" ? { d: { b: 2 } } : {}) })).toEqual(
      name === "kill" ? { kill: 1 } : expect.objectContaining({ ref: session.ref }),
    );
  });

  test("accepts a no_resave session that was read earlier, whose ttl has run down since", async () => {
    const session = await createFull(true);
    await editFields(t.db, `rs:{webapp}:s:${session.ref}`, { created: { add: -30_000 } });
    expect(await call({ app, ...session })).toEqual(
      name === "kill" ? { kill: 1 } : expect.objectContaining({ ttl: expect.closeTo(3570, -1) }),
    );
    if (name === "kill") return;
    await expect(call({ app, ref: session.ref, ...{ ttl: 3601 } })).rejects.toMatchObject({ name: "invalidValue" });
    await expect(call({ app, ref: session.ref, ...{ ttl: 3500 } })).rejects.toMatchObject({ name: "invalidValue" });
  });

  test("returns null or a count of 0 if the session does not exist", async () => {
    const answer = await call({ app, ref: "x".repeat(27), ...{ ttl: 60 } });
    expect(answer).toEqual(name === "kill" ? { kill: 0 } : null);
    expect(await t.db.dbsize()).toBe(0);
  });

  test("needs one round trip if no fixed field is named", async () => {
    const { ref } = await createFull();
    await call({ app, ref: "x".repeat(27) });
    const commands = await t.redis.watch(() => call({ app, ref, ...{ device: undefined } }));
    expect(commands).toHaveLength(1);
  });
});

import { expect, test, vi } from "vitest";
import { killMany } from "../../src/lua/index.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";

test("ends all sessions of the app and of no other", async () => {
  const { token } = await t.create({ id: "alice" });
  await t.create({ id: "alice" });
  await t.create({ id: "bob" });
  const other = await t.create({ app: "other", id: "alice" });
  expect(await t.rs.killall({ app })).toEqual({ kill: 3 });
  expect(await t.rs.get({ app, token })).toBeNull();
  expect(await t.rs.soapp({ app, dt: 60 })).toEqual({ sessions: [] });
  expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 0 });
  expect(await t.rs.get({ app: "other", token: other.token })).not.toBeNull();
});

test("returns 0 for an app without sessions", async () => {
  expect(await t.rs.killall({ app })).toEqual({ kill: 0 });
});

test.each([99, 100, 101, 250])("ends %i sessions and leaves nothing of them in Redis", async (count) => {
  await Promise.all(Array.from({ length: count }, (_, i) => t.create({ id: `user ${i % 60}` })));
  expect(await t.rs.killall({ app })).toEqual({ kill: count });
  expect((await t.db.keys("*")).sort()).toEqual(["rs:apps", "rs:layout"]);
});

test("drops an entry whose session is gone and does not count it", async () => {
  const { ref } = await t.create();
  await t.create({ id: "bob" });
  await t.db.del(`rs:{webapp}:s:${ref}`);
  expect(await t.rs.killall({ app })).toEqual({ kill: 1 });
  expect((await t.db.keys("*")).sort()).toEqual(["rs:apps", "rs:layout"]);
});

test("ends a rotated session, and its old token with it", async () => {
  const { token } = await t.create();
  const rotated = await t.rs.rotate({ app, token });
  expect(await t.rs.killall({ app })).toEqual({ kill: 1 });
  expect(await t.rs.get({ app, token })).toBeNull();
  expect(await t.rs.get({ app, token: `${rotated?.token}` })).toBeNull();
});

test("prepares and sends the scripts for a second page of 500 while Redis works on the first, but not for a third", async () => {
  await Promise.all(Array.from({ length: 1501 }, (_, i) => t.create({ id: `user ${i}` })));
  // Load the scripts.
  await t.create({ app: "other" });
  await t.rs.killall({ app: "other" });
  const held: (() => unknown)[] = [];
  let sent = 0;
  let sentBeforeRelease = 0;
  const send = t.db.sendCommand.bind(t.db);
  const spy = vi.spyOn(t.db, "sendCommand").mockImplementation((command, stream) => {
    if (command.args[0] !== killMany.sha || ++sent > 10) return send(command, stream);
    held.push(() => send(command, stream));
    if (sent === 10) {
      setTimeout(() => {
        sentBeforeRelease = sent;
        for (const release of held) release();
      }, 100);
    }
    return command.promise;
  });
  expect(await t.rs.killall({ app })).toEqual({ kill: 1501 });
  spy.mockRestore();
  expect(sentBeforeRelease).toBe(10);
  expect(sent).toBe(16);
});

import { describe, expect, test } from "vitest";
import type { RedisStoreOptions } from "../../src/express-session/index.js";
import { readStored, readUserSessions } from "../support/index-check.js";
import { editFields, fieldsOf } from "../support/session-text.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

/** The user and the ref of each session in the index. */
async function indexedUsers(app = "sess"): Promise<string[]> {
  return readUserSessions(t.db, `rs:{${app}}:`);
}

describe("a session belongs to", () => {
  const whose: [string, object, string | undefined, RedisStoreOptions["userId"]?][] = [
    ["session.passport.user", { passport: { user: "alice" } }, "alice"],
    ["session.passport.user when it is a number", { passport: { user: 17 } }, "17"],
    ["session.passport.user before session.userId", { passport: { user: "alice" }, userId: "bob" }, "alice"],
    ["session.userId when passport's user is an object", { passport: { user: { id: 1 } }, userId: "bob" }, "bob"],
    ["session.userId", { userId: "bob" }, "bob"],
    ["session.userId when it is a number", { userId: 0 }, "0"],
    ["no user without either", { cart: ["tea"] }, undefined],
    ["no user if the id is empty", { passport: { user: "" }, userId: "" }, undefined],
    ["no user after Passport's logout", { passport: {} }, undefined],
    ["no user if the id is an object", { userId: { id: 1 } }, undefined],
    ["a user with the longest id", { userId: "x".repeat(128) }, "x".repeat(128)],
    ["no user if the id is longer", { userId: "x".repeat(129) }, undefined],
    ["no user if the id has an unpaired surrogate", { userId: "a\ud83d" }, undefined],
    ["session.userId when passport's user is too long", { passport: { user: "x".repeat(129) }, userId: "bob" }, "bob"],
    ["the user that a custom function returns", { account: { mail: "a@b.c" } }, "a@b.c", mailOf],
    ["nobody when a custom function names none", { userId: "bob" }, undefined, mailOf],
    ["the number that a custom function returns", { account: { number: 42 } }, "42", () => 42],
    ["no user if the id is NaN", { userId: Number.NaN }, undefined],
  ];

  test.each(whose)("%s", async (_whom, data, id, userId) => {
    const store = t.store(userId && { userId });
    await store.set("sid", withCookie(data));
    expect(await indexedUsers()).toEqual(id === undefined ? [] : [`${JSON.stringify(id)}~sid`]);
    expect(await t.db.zrange("rs:{sess}:users", "0", "-1")).toEqual(id === undefined ? [] : [JSON.stringify(id)]);
    if (id !== undefined) expect((await store.soid(id)).sessions.map(({ ref }) => ref)).toEqual(["~sid"]);
  });
});

function mailOf(session: object): string | undefined {
  return (session as { account?: { mail: string } }).account?.mail;
}

test("an anonymous session has no entry in user-sessions, user-sessions-overflow and users", async () => {
  const site = await t.site({ saveUninitialized: true });
  const browser = site.browser();
  await browser.get("/push/tea");
  expect((await t.db.keys("*")).sort()).toEqual(
    expect.arrayContaining([`rs:{sess}:s:~${browser.sid}`, "rs:apps", "rs:{sess}:active", "rs:{sess}:expiry"]),
  );
  expect(await t.db.exists("rs:{sess}:user-sessions", "rs:{sess}:user-sessions-overflow", "rs:{sess}:users")).toBe(0);
  expect((await t.store().soapp(60)).sessions).toMatchObject([{ id: "", d: { cart: ["tea"] } }]);
});

test("login and logout change the index in the command that writes the session", async () => {
  const site = await t.site();
  const browser = site.browser();
  await browser.get("/push/tea");
  const step = async (path: string) => {
    await editFields(t.db, `rs:{sess}:s:~${browser.sid}`, { la: Date.now() });
    return (await t.redis.watch(() => browser.get(path))).map(([command]) => command?.toLowerCase());
  };
  await step("/push/cake"); // loads the scripts

  expect(await step("/login/alice")).toEqual(["evalsha", "evalsha"]);
  expect(await indexedUsers()).toEqual([`"alice"~${browser.sid}`]);
  expect(await step("/login/bob")).toEqual(["evalsha", "evalsha"]);
  expect(await indexedUsers()).toEqual([`"bob"~${browser.sid}`]);
  expect(await step("/sign-out")).toEqual(["evalsha", "evalsha"]);
  expect(await indexedUsers()).toEqual([]);
  expect((await readStored(t.db, "sess")).problems).toEqual([]);
});

test("a session never belongs to two users, and its data and the index never differ", async () => {
  const store = t.store();
  const site = await t.site({ store });
  const browser = site.browser();
  await browser.get("/login/alice");
  let ended = false;
  const looking = (async () => {
    let looks = 0;
    for (; !ended; looks++) {
      const key = `rs:{sess}:s:~${browser.sid}`;
      const found = await t.db
        .multi()
        .hgetall("rs:{sess}:user-sessions")
        .exists("rs:{sess}:user-sessions-overflow")
        .get(key)
        .exec();
      const [lists, overflow, text] = (found ?? []).map(([, reply]) => reply) as [
        Record<string, string>,
        number,
        string,
      ];
      const { id, '"userId"': data } = fieldsOf(text);
      expect(id).toBe(data);
      expect(lists).toEqual({ [`${data}`]: `\n~${browser.sid}\n` });
      expect(overflow).toBe(0);
    }
    return looks;
  })();
  for (let i = 0; i < 100; i++) await browser.get(`/login/user${i}`);
  ended = true;
  expect(await looking).toBeGreaterThan(20);
});

describe("a login stays in the index if it overlaps a request", () => {
  test.each([
    ["that writes another key", "/set/color/red"],
    ["that only reads, after more than a second", "/me"],
    ["that saves before it ends", "/save/color/red"],
  ])("%s", async (_what, path) => {
    const store = t.store();
    const site = await t.site({ store });
    const browser = site.browser();
    await browser.get("/push/tea");
    const under = browser.get(`/gate${path}`);
    await site.gate.waitFor(1);
    await browser.get("/login/alice");
    await new Promise((resolve) => setTimeout(resolve, path === "/me" ? 1100 : 0));
    site.gate.open();
    await under;
    expect(await indexedUsers()).toEqual([`"alice"~${browser.sid}`]);
    expect(await store.killsoid("alice")).toEqual({ kill: 1 });
    expect((await browser.get("/me")).body).not.toHaveProperty("userId");
  });
});

test("a logged-out user stays out of the index if another request overlaps the logout", async () => {
  const site = await t.site();
  const browser = site.browser();
  await browser.get("/login/alice");
  const under = browser.get("/gate/set/color/red");
  await site.gate.waitFor(1);
  await browser.get("/sign-out");
  site.gate.open();
  await under;
  expect(await indexedUsers()).toEqual([]);
  expect((await browser.get("/me")).body).toMatchObject({ color: "red" });
  expect((await readStored(t.db, "sess")).problems).toEqual([]);
});

test("a session that moves to another user belongs to that user only", async () => {
  const store = t.store();
  await store.set("sid", withCookie({ userId: "alice" }));
  await store.set("sid", withCookie({ userId: "bob" }));
  expect(await indexedUsers()).toEqual(['"bob"~sid']);
  expect((await store.soid("alice")).sessions).toEqual([]);
  expect((await readStored(t.db, "sess")).problems).toEqual([]);
});

test.each([
  ["too long", "x".repeat(129), "Invalid id format"],
  ["half a character", "a\ud83d", "Invalid id format"],
  ["no finite number", Number.NaN, "Invalid id format"],
  ["a truth value", true, "Invalid id format"],
  ["empty", "", "No id supplied"],
])("a save is refused and writes nothing if the custom function returns %s", async (_what, id, message) => {
  const store = t.store({ userId: () => id as string });
  await expect(store.set("sid", withCookie({}))).rejects.toMatchObject({ message });
  expect(await store.get("sid")).toBeNull();
});

test.each([null, undefined])("a session is anonymous if the custom function returns %s", async (id) => {
  const store = t.store({ userId: () => id });
  await store.set("sid", withCookie({ userId: "alice" }));
  expect(await store.get("sid")).toMatchObject({ userId: "alice" });
  expect(await store.soid("alice")).toEqual({ sessions: [] });
});

test("stays saved and becomes anonymous if the id becomes invalid", async () => {
  const store = t.store();
  const browser = (await t.site({ store })).browser();
  await browser.get("/login/alice");
  await browser.get(`/login/${"x".repeat(129)}`);
  expect((await browser.get("/me")).body).toMatchObject({ userId: "x".repeat(129) });
  expect(await indexedUsers()).toEqual([]);
  expect((await readStored(t.db, "sess")).problems).toEqual([]);
});

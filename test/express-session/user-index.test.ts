import { describe, expect, test } from "vitest";
import type { RedisStoreOptions } from "../../src/express-session/index.js";
import { readOwners, readStored } from "../support/index-check.js";
import { editFields, fieldsOf } from "../support/session-text.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

/** Who owns which session, as Redis has it. */
async function owners(app = "sess"): Promise<string[]> {
  return readOwners(t.db, `rs:{${app}}:`);
}

describe("a session belongs to", () => {
  const whose: [string, object, string | undefined, RedisStoreOptions["userId"]?][] = [
    ["session.passport.user", { passport: { user: "alice" } }, "alice"],
    ["session.passport.user when it is a number", { passport: { user: 17 } }, "17"],
    ["session.passport.user before session.userId", { passport: { user: "alice" }, userId: "bob" }, "alice"],
    ["session.userId when passport's user is an object", { passport: { user: { id: 1 } }, userId: "bob" }, "bob"],
    ["session.userId", { userId: "bob" }, "bob"],
    ["session.userId when it is a number", { userId: 0 }, "0"],
    ["nobody without either", { cart: ["tea"] }, undefined],
    ["nobody when the user is empty", { passport: { user: "" }, userId: "" }, undefined],
    ["nobody when passport has logged out", { passport: {} }, undefined],
    ["nobody when the user is an object", { userId: { id: 1 } }, undefined],
    ["the longest id", { userId: "x".repeat(128) }, "x".repeat(128)],
    ["nobody when the id is longer", { userId: "x".repeat(129) }, undefined],
    ["nobody when the id has half a character", { userId: "a\ud83d" }, undefined],
    ["session.userId when passport's user is too long", { passport: { user: "x".repeat(129) }, userId: "bob" }, "bob"],
    ["whom a custom function names", { account: { mail: "a@b.c" } }, "a@b.c", mailOf],
    ["nobody when a custom function names none", { userId: "bob" }, undefined, mailOf],
    ["the number that a custom function gives", { account: { number: 42 } }, "42", () => 42],
    ["nobody when the user is no number after all", { userId: Number.NaN }, undefined],
  ];

  test.each(whose)("%s", async (_whom, data, id, userId) => {
    const store = t.store(userId && { userId });
    await store.set("sid", withCookie(data));
    expect(await owners()).toEqual(id === undefined ? [] : [`${JSON.stringify(id)}~sid`]);
    expect(await t.db.zrange("rs:{sess}:users", "0", "-1")).toEqual(id === undefined ? [] : [JSON.stringify(id)]);
    if (id !== undefined) expect((await store.soid(id)).sessions.map(({ ref }) => ref)).toEqual(["~sid"]);
  });
});

function mailOf(session: object): string | undefined {
  return (session as { account?: { mail: string } }).account?.mail;
}

test("an anonymous session costs no entry in owners, crowd and users", async () => {
  const site = await t.site({ saveUninitialized: true });
  const browser = site.browser();
  await browser.get("/push/tea");
  expect((await t.db.keys("*")).sort()).toEqual(
    expect.arrayContaining([`rs:{sess}:s:~${browser.sid}`, "rs:apps", "rs:{sess}:active", "rs:{sess}:expiry"]),
  );
  expect(await t.db.exists("rs:{sess}:user-sessions", "rs:{sess}:user-sessions-overflow", "rs:{sess}:users")).toBe(0);
  expect((await t.store().soapp(60)).sessions).toMatchObject([{ id: "", d: { cart: ["tea"] } }]);
});

test("logging in and out moves the index in the same command that writes the session", async () => {
  const site = await t.site();
  const browser = site.browser();
  await browser.get("/push/tea");
  const step = async (path: string) => {
    await editFields(t.db, `rs:{sess}:s:~${browser.sid}`, { la: Date.now() });
    return (await t.redis.watch(() => browser.get(path))).map(([command]) => command?.toLowerCase());
  };
  await step("/push/cake"); // the scripts are loaded

  expect(await step("/login/alice")).toEqual(["evalsha", "evalsha"]);
  expect(await owners()).toEqual([`"alice"~${browser.sid}`]);
  expect(await step("/login/bob")).toEqual(["evalsha", "evalsha"]);
  expect(await owners()).toEqual([`"bob"~${browser.sid}`]);
  expect(await step("/sign-out")).toEqual(["evalsha", "evalsha"]);
  expect(await owners()).toEqual([]);
  expect((await readStored(t.db, "sess")).problems).toEqual([]);
});

test("no moment shows a session to two users, or its data and the index to differ", async () => {
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
      const [lists, crowd, text] = (found ?? []).map(([, reply]) => reply) as [Record<string, string>, number, string];
      const { id, '"userId"': data } = fieldsOf(text);
      expect(id).toBe(data);
      expect(lists).toEqual({ [`${data}`]: `\n~${browser.sid}\n` });
      expect(crowd).toBe(0);
    }
    return looks;
  })();
  for (let i = 0; i < 100; i++) await browser.get(`/login/user${i}`);
  ended = true;
  expect(await looking).toBeGreaterThan(20);
});

describe("a login stays in the index when another request overlaps it:", () => {
  test.each([
    ["one that writes another key", "/set/color/red"],
    ["one that only reads, after more than a second", "/me"],
    ["one that saves half-way", "/save/color/red"],
  ])("%s", async (_what, path) => {
    const store = t.store();
    const site = await t.site({ store });
    const browser = site.browser();
    await browser.get("/push/tea");
    const under = browser.get(`/gate${path}`);
    await site.gate.crowd(1);
    await browser.get("/login/alice");
    await new Promise((resolve) => setTimeout(resolve, path === "/me" ? 1100 : 0));
    site.gate.open();
    await under;
    expect(await owners()).toEqual([`"alice"~${browser.sid}`]);
    expect(await store.killsoid("alice")).toEqual({ kill: 1 });
    expect((await browser.get("/me")).body).not.toHaveProperty("userId");
  });
});

test("a logout stays out of the index when another request overlaps it", async () => {
  const site = await t.site();
  const browser = site.browser();
  await browser.get("/login/alice");
  const under = browser.get("/gate/set/color/red");
  await site.gate.crowd(1);
  await browser.get("/sign-out");
  site.gate.open();
  await under;
  expect(await owners()).toEqual([]);
  expect((await browser.get("/me")).body).toMatchObject({ color: "red" });
  expect((await readStored(t.db, "sess")).problems).toEqual([]);
});

test("a session that is given to another user in one request belongs to that user alone", async () => {
  const store = t.store();
  await store.set("sid", withCookie({ userId: "alice" }));
  await store.set("sid", withCookie({ userId: "bob" }));
  expect(await owners()).toEqual(['"bob"~sid']);
  expect((await store.soid("alice")).sessions).toEqual([]);
  expect((await readStored(t.db, "sess")).problems).toEqual([]);
});

test.each([
  ["too long", "x".repeat(129), "Invalid id format"],
  ["half a character", "a\ud83d", "Invalid id format"],
  ["no finite number", Number.NaN, "Invalid id format"],
  ["a truth value", true, "Invalid id format"],
  ["empty", "", "No id supplied"],
])("an id of a custom function that is %s is refused, and nothing is written", async (_what, id, message) => {
  const store = t.store({ userId: () => id as string });
  await expect(store.set("sid", withCookie({}))).rejects.toMatchObject({ message });
  expect(await store.get("sid")).toBeNull();
});

test.each([null, undefined])("a custom function that gives %s makes nobody's session", async (id) => {
  const store = t.store({ userId: () => id });
  await store.set("sid", withCookie({ userId: "alice" }));
  expect(await store.get("sid")).toMatchObject({ userId: "alice" });
  expect(await store.soid("alice")).toEqual({ sessions: [] });
});

test("whose user becomes what is no id stays saved, and belongs to nobody", async () => {
  const store = t.store();
  const browser = (await t.site({ store })).browser();
  await browser.get("/login/alice");
  await browser.get(`/login/${"x".repeat(129)}`);
  expect((await browser.get("/me")).body).toMatchObject({ userId: "x".repeat(129) });
  expect(await owners()).toEqual([]);
  expect((await readStored(t.db, "sess")).problems).toEqual([]);
});

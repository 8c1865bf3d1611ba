import type { SessionData } from "express-session";
import { describe, expect, test } from "vitest";
import { rot13 } from "./support/serializers.js";
import { useStores, withCookie } from "./support/stores.js";

declare module "express-session" {
  interface SessionData {
    role?: string | null;
    views?: number;
    account?: { id: string };
  }
}

const t = useStores();

describe("setAll", () => {
  test.each([
    ["as JSON", {}],
    ["with a serializer", { serializer: rot13 }],
    ["under hashed ids", { hashIds: true }],
  ])("changes all sessions of the user, and nobody else's, %s", async (_how, options) => {
    const store = t.store(options);
    for (const sid of ["a", "b"]) await store.set(sid, withCookie({ userId: "alice", views: 1 }));
    await store.set("other", withCookie({ userId: "bob" }));
    expect(await store.setAll("alice", { role: "editor", views: undefined })).toEqual({ set: 2 });
    for (const sid of ["a", "b"]) {
      expect(await store.get(sid)).toMatchObject({ userId: "alice", role: "editor" });
      expect(await store.get(sid)).not.toHaveProperty("views");
    }
    expect(await store.get("other")).not.toHaveProperty("role");
    expect(await store.setAll("alice", { role: null })).toEqual({ set: 2 });
    expect(await store.get("a")).toMatchObject({ role: null });
    expect(await store.setAll("nobody", { role: "editor" })).toEqual({ set: 0 });
  });

  test("reaches a session that requests use and rotate meanwhile, and no save undoes it", async () => {
    const store = t.store();
    const site = await t.site({ store });
    const browser = site.browser();
    await browser.get("/login/alice");
    await browser.get("/set/role/reader");
    const under = ["/gate/set/color/red", "/gate/rotate/10", "/gate/me"].map((path) => browser.copy().get(path));
    await site.gate.waitFor(3);
    const setting = store.setAll("alice", { role: "editor" });
    site.gate.open();
    await Promise.all([setting, ...under]);
    const { sessions } = await store.soid("alice");
    expect(sessions).toMatchObject([{ d: { role: "editor", color: "red" } }]);
  });

  test("leaves the ttl, the last use and the engine's sessions alone", async () => {
    const store = t.store({ rs: t.rs, app: "webapp" });
    await store.set("sid", withCookie({ userId: "alice" }));
    const { ref } = await t.rs.create({ app: "webapp", id: "alice", ip: "::1", d: { role: "reader" } });
    const before = (await store.soid("alice")).sessions.find(({ ref }) => ref === "~sid");
    expect(await store.setAll("alice", { role: "editor" })).toEqual({ set: 1 });
    const after = (await store.soid("alice")).sessions.find(({ ref }) => ref === "~sid");
    expect(after).toMatchObject({ expires: before?.expires, idle: before?.idle, d: { role: "editor" } });
    expect(await t.rs.get({ app: "webapp", ref })).toMatchObject({ d: { role: "reader" } });
  });

  test.each([
    ["the cookie", { cookie: {} }, {}, "does not change cookie"],
    ["the user", { userId: "bob" }, {}, "does not change userId"],
    ["the user of Passport", { passport: undefined }, {}, "does not change passport"],
    [
      "the user of the option",
      { account: { id: "bob" } },
      { userId: (d: SessionData) => d.account?.id },
      "the option userId",
    ],
    [
      "the removal of the key that the option userId reads",
      { account: undefined },
      { userId: ({ account }: SessionData) => account?.id },
      "the option userId",
    ],
    [
      "a value without an id for the key that the option userId reads",
      { account: {} },
      { userId: (d: SessionData) => d.userId ?? d.account?.id },
      "the option userId",
    ],
    ["no key", {}, {}, "d must contain at least one key"],
    ["a string", "role", {}, "d must be an object"],
  ])("refuses %s", async (_what, d, options, message) => {
    const store = t.store(options);
    await store.set("sid", withCookie({ userId: "alice", account: { id: "alice" } }));
    await expect(store.setAll("alice", d as never)).rejects.toThrow(message);
    expect(await store.get("sid")).toMatchObject({ userId: "alice", account: { id: "alice" } });
  });

  test("accepts keys without which a userId function throws", async () => {
    const store = t.store({ userId: (d) => (d.account as { id: string }).id });
    await store.set("sid", withCookie({ account: { id: "alice" } }));
    expect(await store.setAll("alice", { role: "editor" })).toEqual({ set: 1 });
  });
});

describe("increment", () => {
  test("of 50 parallel calls loses none, and keeps its max", async () => {
    const store = t.store();
    await store.set("sid", withCookie({ userId: "alice" }));
    await Promise.all(Array.from({ length: 50 }, () => store.increment("sid", "views")));
    expect(await store.get("sid")).toMatchObject({ views: 50 });
    expect(await store.increment("sid", "views", 5, { max: 54 })).toEqual({ value: 50, applied: false });
    expect(await store.increment("sid", "views", -8, { max: 54 })).toEqual({ value: 42, applied: true });
  });

  test("is not undone by the save of a request under way, and follows a rotation", async () => {
    const store = t.store();
    const site = await t.site({ store });
    const browser = site.browser();
    await browser.get("/login/alice");
    const { sid } = browser;
    const saving = browser.copy().get("/gate/set/color/red");
    await site.gate.waitFor(1);
    await store.increment(sid, "views");
    await browser.get("/rotate/10");
    expect(await store.increment(sid, "views")).toEqual({ value: 2, applied: true });
    site.gate.open();
    await saving;
    expect((await browser.get("/me")).body).toMatchObject({ views: 2, color: "red" });
  });

  test("returns null if there is no session, and writes nothing", async () => {
    expect(await t.store().increment("sid", "views")).toBeNull();
    expect(await t.store().get("sid")).toBeNull();
  });

  test.each([
    ["a value that is not an integer", "role", "is not an integer"],
    ["the cookie", "cookie", "does not change cookie"],
    ["the user", "userId", "does not change userId"],
    ["no key", "", "No key supplied"],
  ])("refuses %s", async (_what, key, message) => {
    const store = t.store();
    await store.set("sid", withCookie({ userId: 42, role: "editor" }));
    await expect(store.increment("sid", key)).rejects.toThrow(message);
    expect(await store.get("sid")).toMatchObject({ userId: 42, role: "editor" });
  });

  test("refuses a serializer, a bad by, a bad max and a misspelt option", async () => {
    await expect(t.store({ serializer: rot13 }).increment("sid", "views")).rejects.toThrow("increment needs JSON");
    const store = t.store();
    await expect(store.increment("sid", "views", 0.5)).rejects.toThrow("by must be an integer");
    await expect(store.increment("sid", "views", 1, { max: "x" as never })).rejects.toThrow("max must be an integer");
    await expect(store.increment("sid", "views", 1, { mx: 1 } as object)).rejects.toThrow('Did you mean "max"?');
  });
});

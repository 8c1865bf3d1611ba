import { createHmac } from "node:crypto";
import type { SessionData } from "express-session";
import { describe, expect, test } from "vitest";
import type { RedisStore } from "../../src/express-session/index.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();
const APP = "webapp";

/** A store and an engine on one app, by the option `app` or by a prefix that names the app. */
const shared: [string, () => RedisStore][] = [
  ["rs and app", () => t.store({ rs: t.rs, app: APP })],
  ["rs and app, with hashIds", () => t.store({ rs: t.rs, app: APP, hashIds: true })],
  ["a prefix that is the app's name", () => t.store({ prefix: `${APP}:` })],
];

/** Ids as express-session, a UUID function, and custom functions generate them. */
const IDS = [
  "-bcdefghijklmnopqrstuvwxyz_12345",
  "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
  "a:b/c?d#e",
  "~tilde",
  "line\nfeed",
  "100%0A",
  "딸기 {x}",
];

describe.each(shared)("an engine and a store that share an app by %s", (_how, open) => {
  const admin = { app: APP, id: "admin", ip: "::1" };

  test("the store opens no session of the engine, neither by ref nor by token", async () => {
    const { token, ref } = await t.rs.create({ ...admin, d: { role: "admin" } });
    const store = open();
    for (const sid of [ref, token, `~${ref}`]) expect(await store.get(sid)).toBeNull();
    await store.set(ref, withCookie({ role: "mallory" }));
    await store.touch(token, withCookie({}));
    await store.destroy(ref);
    expect(await t.rs.get({ app: APP, token })).toMatchObject({ id: "admin", d: { role: "admin" } });
  });

  test("a ref that another endpoint signed with the same secret opens no session", async () => {
    const { ref } = await t.rs.create({ ...admin, d: { userId: "admin" } });
    const site = await t.site({ store: open() });
    const signature = createHmac("sha256", "keyboard cat").update(ref).digest("base64").replace(/=+$/, "");
    const cookie = `connect.sid=${encodeURIComponent(`s:${ref}.${signature}`)}`;
    const answer = await (await fetch(`${site.url}/me`, { headers: { cookie } })).json();
    expect(answer).not.toHaveProperty("userId");
  });

  test("a ref of the store opens nothing", async () => {
    const store = open();
    for (const sid of IDS) {
      await store.set(sid, withCookie({ userId: "alice" }));
      const ref = store.ref(sid);
      expect(await store.get(ref)).toBeNull();
      if (ref !== `~${sid}`) expect(await store.get(ref.slice(1))).toBeNull();
    }
  });

  test("the engine lists and ends sessions of the store by ref, whatever their ids look like", async () => {
    const store = open();
    for (const sid of IDS) await store.set(sid, withCookie({ userId: "alice" }));
    const { sessions } = await t.rs.soid({ app: APP, id: "alice" });
    expect(sessions.map(({ ref }) => ref).sort()).toEqual(IDS.map((sid) => store.ref(sid)).sort());
    const keep = store.ref("~tilde");
    expect(await t.rs.get({ app: APP, ref: keep, touch: false })).toMatchObject({ ref: keep, id: "alice" });
    expect(await t.rs.get({ app: APP, ref: keep })).toMatchObject({ r: 1 });
    expect(await t.rs.kill({ app: APP, ref: store.ref("line\nfeed") })).toEqual({ kill: 1 });
    expect(await store.get("line\nfeed")).toBeNull();
    expect(await t.rs.killsoid({ app: APP, id: "alice", except: keep })).toEqual({ kill: IDS.length - 2 });
    expect(await store.get("~tilde")).toMatchObject({ userId: "alice" });
  });

  test("ids and all return the sessions of the store only", async () => {
    await t.rs.create(admin);
    const store = open();
    for (const sid of IDS) await store.set(sid, withCookie({ userId: "alice" }));
    const hashed = store.ref("a") !== "~a";
    const expected = IDS.map((sid) => (hashed ? store.ref(sid) : sid)).sort();
    expect((await store.ids()).sort()).toEqual(expected);
    expect((await store.all()).map((one) => (one as { id?: string }).id).sort()).toEqual(expected);
  });

  test("the engine refuses set on a session of the store, and the index stays correct", async () => {
    const store = open();
    await store.set("sid", withCookie({ userId: "alice" }));
    await expect(t.rs.set({ app: APP, ref: store.ref("sid"), d: { userId: "bob" } })).rejects.toMatchObject({
      name: "invalidValue",
      message: "set does not change a session of RedisStore",
      hint: expect.stringContaining("express-session"),
    });
    expect(await store.get("sid")).toMatchObject({ userId: "alice" });
    expect(await store.killsoid("alice")).toEqual({ kill: 1 });
  });

  test("destroy and except accept a ref and an id", async () => {
    const store = open();
    for (const sid of IDS) await store.set(sid, withCookie({ userId: "alice" }));
    expect(await store.killsoid("alice", { except: store.ref("a:b/c?d#e") })).toEqual({ kill: IDS.length - 1 });
    const session = (await store.get("a:b/c?d#e")) as SessionData;
    expect(session).toMatchObject({ userId: "alice" });
    await store.destroy(store.ref("a:b/c?d#e"));
    expect(await store.get("a:b/c?d#e")).toBeNull();
  });
});

test.each(["~", "~a\nb", `~${"x".repeat(512)}`, "~\ud800", "~~~"])("the engine's ref %j is checked", async (ref) => {
  const got = t.rs.get({ app: APP, ref });
  if (ref === "~~~") expect(await got).toBeNull();
  else await expect(got).rejects.toMatchObject({ name: "invalidFormat", message: "Invalid ref format" });
});

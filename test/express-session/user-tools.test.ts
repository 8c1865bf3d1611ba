import { describe, expect, test } from "vitest";
import { hashText } from "../../src/sessions/token.js";
import { editFields, readFields } from "../support/session-text.js";
import { rot13 } from "./support/serializers.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

test("soid lists a user's sessions, newest first, with their data", async () => {
  const store = t.store();
  const site = await t.site({ store });
  const [phone, laptop] = [site.browser(), site.browser()];
  await phone.get("/login/alice");
  await new Promise((resolve) => setTimeout(resolve, 5));
  await laptop.get("/login/alice");
  await laptop.get("/push/tea");
  await site.browser().get("/login/bob");

  const { sessions } = await store.soid("alice");
  expect(sessions).toMatchObject([
    { ref: store.ref(laptop.sid), id: "alice", idle: 0, d: { userId: "alice", cart: ["tea"] } },
    { ref: store.ref(phone.sid), id: "alice", idle: 0, d: { userId: "alice" } },
  ]);
  expect(await store.soid("nobody")).toEqual({ sessions: [] });
});

test("soid returns the cookie of each session as a load would", async () => {
  const store = t.store();
  const began = Date.now();
  await store.set("sid", withCookie({ userId: "alice" }));
  const [listed] = (await store.soid("alice")).sessions;
  const got = await store.get("sid");
  const apart = Math.abs(Number(listed?.d?.cookie.expires) - Number(got?.cookie.expires));
  // Reading prolongs the session if saving and listing took longer than the touch interval.
  expect(apart).toBeLessThanOrEqual(Date.now() - began + 2);
});

test.each([false, true])("ref marks the present session in a list; hashIds: %s", async (hashIds) => {
  const store = t.store({ hashIds });
  const site = await t.site({ store });
  const [phone, laptop] = [site.browser(), site.browser()];
  await phone.get("/login/alice");
  await laptop.get("/login/alice");
  const { sessions } = await store.soid("alice");
  const recent = (await store.soapp(60)).sessions;
  for (const { sid } of [phone, laptop]) {
    expect(sessions.filter((one) => one.ref === store.ref(sid))).toHaveLength(1);
    expect(recent.filter((one) => one.ref === store.ref(sid))).toHaveLength(1);
    expect(await store.ids()).toContain(hashIds ? store.ref(sid) : sid);
  }
  expect(store.ref("a")).toBe(`~${hashIds ? hashText("a") : "a"}`);
  await store.killsoid("alice", { except: store.ref(laptop.sid) });
  expect((await store.soid("alice")).sessions.map(({ ref }) => ref)).toEqual([store.ref(laptop.sid)]);
});

test("a malformed session is left out of the lists and hides no other", async () => {
  const store = t.store();
  for (const sid of ["sound", "spoilt", "cookieless", "nobody's"])
    await store.set(sid, withCookie({ userId: "alice" }));
  await editFields(t.db, "rs:{sess}:s:~spoilt", { '"userId"': "hunter2" });
  await editFields(t.db, "rs:{sess}:s:~cookieless", { '"cookie"': "hunter2" });
  await editFields(t.db, "rs:{sess}:s:~nobody's", { device: '"hunter2\\"x' });
  const refs = async (list: Promise<{ sessions: { ref: string }[] }>) => (await list).sessions.map(({ ref }) => ref);
  expect(await refs(store.soid("alice"))).toEqual(["~sound"]);
  expect(await refs(store.soapp(60))).toEqual(["~sound"]);
  expect((await store.all()).map((one) => (one as { id?: string }).id).sort()).toEqual(["nobody's", "sound"]);
  await expect(store.get("spoilt")).rejects.toMatchObject({ name: "redisError" });
});

test("soid and soapp return the ttl in whole seconds, rounded up", async () => {
  const store = t.store();
  const shown = async () => [...(await store.soid("alice")).sessions, ...(await store.soapp(60)).sessions];
  for (const [left, ttl] of [
    [60_000, 60],
    [59_900, 60],
    [59_500, 60],
    [900, 1],
  ]) {
    const expires = new Date(Date.now() + Number(left));
    await store.set("sid", { cookie: { originalMaxAge: Number(left), expires }, userId: "alice" });
    const got = (await shown()).map((one) => one.ttl);
    expect(got).toEqual([ttl, ttl]);
  }
  await t.store({ disableTTL: true }).set("sid", withCookie({ userId: "alice" }));
  expect((await shown()).map((one) => one.ttl)).toEqual([0, 0]);
});

test("a user with a numeric id is found by the number and by its text", async () => {
  const store = t.store();
  await store.set("a", withCookie({ userId: 42 }));
  await store.set("b", withCookie({ userId: "42" }));
  const refs = async (id: string | number) => (await store.soid(id)).sessions.map(({ ref }) => ref).sort();
  expect(await refs(42)).toEqual(["~a", "~b"]);
  expect(await refs("42")).toEqual(["~a", "~b"]);
  expect(await store.killsoid(42)).toEqual({ kill: 2 });
  await expect(store.soid(Number.NaN)).rejects.toMatchObject({ name: "invalidFormat" });
  await expect(store.killsoid(Number.POSITIVE_INFINITY)).rejects.toMatchObject({ name: "invalidFormat" });
});

test("killsoid logs a user out everywhere, and nobody else", async () => {
  const store = t.store();
  const site = await t.site({ store });
  const [phone, laptop, other] = [site.browser(), site.browser(), site.browser()];
  await phone.get("/login/alice");
  await laptop.get("/login/alice");
  await other.get("/login/bob");
  expect(await store.killsoid("alice")).toEqual({ kill: 2 });
  for (const browser of [phone, laptop]) expect((await browser.get("/me")).body).not.toHaveProperty("userId");
  expect((await other.get("/me")).body).toMatchObject({ userId: "bob" });
  expect(await store.killsoid("alice")).toEqual({ kill: 0 });
});

test("killsoid keeps the session of the current request with except", async () => {
  const store = t.store();
  const site = await t.site({ store });
  const [phone, laptop] = [site.browser(), site.browser()];
  await phone.get("/login/alice");
  await laptop.get("/login/alice");
  expect(await store.killsoid("alice", { except: laptop.sid })).toEqual({ kill: 1 });
  expect((await phone.get("/me")).body).not.toHaveProperty("userId");
  expect((await laptop.get("/me")).body).toMatchObject({ userId: "alice" });
});

test("soapp lists the sessions by their last activity, in pages", async () => {
  const store = t.store();
  for (const [i, user] of ["alice", "bob", "carol"].entries()) {
    await store.set(user, withCookie({ userId: user }));
    await t.db.zadd("rs:{sess}:active", Date.now() - i * 5000, `~${user}`);
  }
  const refs = async (...args: Parameters<typeof store.soapp>) =>
    (await store.soapp(...args)).sessions.map(({ ref }) => ref);
  expect(await refs(60)).toEqual(["~alice", "~bob", "~carol"]);
  expect(await refs(60, { limit: 1 })).toEqual(["~alice"]);
  expect(await refs(60, { offset: 1 })).toEqual(["~bob", "~carol"]);
  expect(await refs(60, { offset: 1, limit: 1 })).toEqual(["~bob"]);
  await t.db.zadd("rs:{sess}:active", Date.now() - 20_000, "~carol");
  expect(await refs(10)).toEqual(["~alice", "~bob"]);
});

test("activity counts users, not sessions, and ignores anonymous sessions", async () => {
  const store = t.store();
  await store.set("a1", withCookie({ userId: "alice" }));
  await store.set("a2", withCookie({ userId: "alice" }));
  await store.set("b", withCookie({ userId: "bob" }));
  await store.set("anonymous", withCookie({}));
  expect(await store.activity(60)).toEqual({ activity: 2 });
  await store.killsoid("bob");
  expect(await store.activity(60)).toEqual({ activity: 1 });
});

test("bad arguments are refused", async () => {
  const store = t.store();
  await expect(store.soid("")).rejects.toMatchObject({ name: "missingParameter" });
  await expect(store.killsoid("x".repeat(129))).rejects.toMatchObject({ name: "invalidFormat" });
  await expect(store.soapp(5)).rejects.toMatchObject({ name: "invalidValue" });
  await expect(store.soapp(60, { limit: 0 })).rejects.toMatchObject({ name: "invalidValue" });
  await expect(store.activity(1.5)).rejects.toMatchObject({ name: "invalidValue" });
});

test("the engine lists sessions of the store, and the store misses those that the engine ended", async () => {
  const store = t.store({ rs: t.rs, app: "webapp" });
  await store.set("sid", withCookie({ userId: "alice" }));
  expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toMatchObject([{ ref: "~sid", id: "alice" }]);
  expect(await t.rs.activity({ app: "webapp", dt: 60 })).toEqual({ activity: 1 });
  expect(await t.rs.killsoid({ app: "webapp", id: "alice" })).toEqual({ kill: 1 });
  expect(await store.get("sid")).toBeNull();
});

test("the tools return deserialized data", async () => {
  const store = t.store({ serializer: rot13 });
  await store.set("sid", withCookie({ userId: "alice", cart: ["tea"] }));
  expect((await readFields(t.db, "rs:{sess}:s:~sid"))['"cart"']).not.toContain("tea");
  expect((await store.soid("alice")).sessions).toMatchObject([{ d: { userId: "alice", cart: ["tea"] } }]);
  expect(await store.all()).toMatchObject([{ id: "sid", cart: ["tea"] }]);
});

describe("with hashed ids", () => {
  const sid = "a-session-id-that-express-session-made";

  test("Redis holds no id, and ids() returns refs", async () => {
    const store = t.store({ hashIds: true });
    const site = await t.site({ store });
    const browser = site.browser();
    await browser.get("/login/alice");
    const content: string[] = [];
    for (const key of await t.db.keys("*")) {
      const type = await t.db.type(key);
      if (type === "zset") content.push(key, ...(await t.db.zrange(key, "0", "-1")));
      else if (type === "hash") content.push(key, ...Object.entries(await t.db.hgetall(key)).flat());
      else content.push(key, `${await t.db.get(key)}`);
    }
    expect(content.filter((text) => text.includes(browser.sid))).toEqual([]);
    expect(await store.ids()).toEqual([store.ref(browser.sid)]);
    expect((await store.soid("alice")).sessions.map(({ ref }) => ref)).toEqual([store.ref(browser.sid)]);
    expect(await store.all()).toMatchObject([{ id: store.ref(browser.sid) }]);
  });

  test("destroy accepts ids and refs", async () => {
    const store = t.store({ hashIds: true });
    await store.set(sid, withCookie({}));
    await store.destroy(sid);
    expect(await store.get(sid)).toBeNull();
    await store.set(sid, withCookie({}));
    await store.destroy(store.ref(sid));
    expect(await store.get(sid)).toBeNull();
  });

  test("a ref opens nothing", async () => {
    const store = t.store({ hashIds: true });
    await store.set(sid, withCookie({}));
    expect(await store.get(hashText(sid))).toBeNull();
    expect(await store.get(store.ref(sid))).toBeNull();
  });

  test.each([
    ["id", sid],
    ["ref", `~${hashText(sid)}`],
  ])("killsoid keeps a session by its %s", async (_by, except) => {
    const store = t.store({ hashIds: true });
    await store.set(sid, withCookie({ userId: "alice" }));
    await store.set("another", withCookie({ userId: "alice" }));
    expect(await store.killsoid("alice", { except })).toEqual({ kill: 1 });
    expect(await store.get(sid)).toMatchObject({ userId: "alice" });
  });
});

test("a misspelt option is refused, and no session is ended", async () => {
  const store = t.store();
  await store.set("sid", withCookie({ userId: "alice" }));
  await expect(store.killsoid("alice", { excpt: "sid" } as object)).rejects.toThrow(
    'killsoid has no option "excpt". Did you mean "except"?',
  );
  await expect(store.soapp(60, { limt: 1 } as object)).rejects.toThrow(
    'soapp has no option "limt". Did you mean "limit"?',
  );
  await expect(store.killsoid("alice", { except: undefined } as object)).rejects.toThrow("except is undefined");
  await expect(store.killsoid("alice", null as never)).rejects.toThrow("killsoid takes an object of options");
  expect(await store.length()).toBe(1);
});

import { describe, expect, test } from "vitest";
import { call } from "../contract/store.js";
import { readStored } from "../support/index-check.js";
import { type End, revivals, SETTINGS, UNDER_WAY } from "./support/races.js";
import { EXPRESS, type ExpressName } from "./support/site.js";
import { useStores } from "./support/stores.js";

const t = useStores();

const settings = (Object.keys(EXPRESS) as ExpressName[]).flatMap((express) =>
  SETTINGS.map((setting) => ({ express, ...setting })),
);

describe.each(settings)(
  "$express, resave $resave, rolling $rolling, saveUninitialized $saveUninitialized:",
  (setting) => {
    const ends: Record<string, () => End> = {
      "req.session.destroy": () => (victim) => victim.other.get("/logout"),
      "req.session.regenerate": () => (victim) => victim.other.get("/regenerate"),
      "store.destroy": () => (victim) => t.store().destroy(victim.sid),
      "store.killsoid": () => (victim) => t.store().killsoid(victim.user),
      "store.clear": () => () => t.store().clear(),
      "the engine's kill of all": () => () => t.rs.killall({ app: "sess" }),
      "the engine's killsoid": () => (victim) => t.rs.killsoid({ app: "sess", id: victim.user }),
    };

    test.each(Object.keys(ends))("requests under way do not revive a session that was ended by %s", async (how) => {
      const site = await t.site(setting);
      const end = ends[how]?.() as End;
      expect(await revivals(site, end)).toBe(0);
      expect(await t.rs.activity({ app: "sess", dt: 60 })).toEqual({ activity: 0 });
      expect((await readStored(t.db, "sess")).problems).toEqual([]);
    });
  },
);

test("a request under way does not revive a session that unset: destroy has ended", async () => {
  const site = await t.site({ unset: "destroy" });
  expect(await revivals(site, ({ other }) => other.get("/unset"), 10)).toBe(0);
});

test("a request under way does not revive a session that has expired", async () => {
  const site = await t.site({ resave: true, rolling: true });
  const expire: End = ({ sid }) => t.db.pexpire(`rs:{sess}:s:~${sid}`, 0);
  expect(await revivals(site, expire, 5)).toBe(0);
});

test("a request under way does not revive a session with a hashed id", async () => {
  const store = t.store({ hashIds: true });
  const site = await t.site({ store, resave: true });
  expect(await revivals(site, ({ other }) => other.get("/logout"), 5)).toBe(0);
  expect(await revivals(site, ({ user }) => store.killsoid(user), 5)).toBe(0);
});

test("a request under way does not revive a session that was ended on another server", async () => {
  const [one, other] = [await t.site({ resave: true }), await t.site({ store: t.store({ client: t.redis.client() }) })];
  const elsewhere: End = (victim) => victim.other.copy(other.url).get("/logout");
  expect(await revivals(one, elsewhere, 20)).toBe(0);
});

test("sessions that are ended at any moment of a request stay ended", async () => {
  const site = await t.site({ resave: true, rolling: true });
  for (let round = 0; round < 200; round++) {
    const browser = site.browser();
    await browser.get("/login/alice");
    const thief = browser.copy();
    const busy = Array.from({ length: 4 }, (_, i) => browser.copy().get(`/set/key${i}/1`));
    await Promise.all([...busy, browser.copy().get("/logout")]);
    expect((await thief.get("/me")).body.userId).toBeUndefined();
  }
});

test("reload tells a request under way that its session was ended", async () => {
  const site = await t.site();
  const browser = site.browser();
  await browser.get("/login/alice");
  const under = browser.copy().get("/gate/reload");
  await site.gate.waitFor(1);
  await browser.get("/logout");
  site.gate.open();
  expect(await under).toMatchObject({ status: 500, body: { error: "Error: failed to load session" } });
});

test("regenerate gives a request under way a new session after its old one was ended", async () => {
  const site = await t.site({ saveUninitialized: true });
  const browser = site.browser();
  await browser.get("/login/alice");
  const { sid } = browser;
  const under = browser.get("/gate/regenerate");
  await site.gate.waitFor(1);
  await t.store().killsoid("alice");
  site.gate.open();
  await under;
  expect(browser.sid).not.toBe(sid);
  expect((await browser.get("/set/color/red")).body.userId).toBeUndefined();
  expect(await t.store().ids()).toEqual([browser.sid]);
});

describe("connect-redis 8, the control,", () => {
  const loggedOut: End = ({ other }) => other.get("/logout");

  test.each(SETTINGS)("revives sessions with resave $resave, rolling $rolling", async (setting) => {
    const site = await t.site({ ...setting, store: t.connectRedis() });
    expect(await revivals(site, loggedOut, 3)).toBeGreaterThan(0);
  });

  test("revives a session that was regenerated", async () => {
    const site = await t.site({ store: t.connectRedis() });
    expect(await revivals(site, ({ other }) => other.get("/regenerate"), 3)).toBeGreaterThan(0);
  });

  test("revives a session by a request that only reads, with resave", async () => {
    const site = await t.site({ store: t.connectRedis(), resave: true });
    expect(await revivals(site, loggedOut, 3, ["/me"])).toBeGreaterThan(0);
  });

  test("revives a session that its own destroy ended", async () => {
    const store = t.connectRedis();
    const site = await t.site({ store });
    const end: End = ({ sid }) => call((done) => store.destroy(sid, done));
    expect(await revivals(site, end, 3, [UNDER_WAY[1] as string])).toBe(3);
  });
});

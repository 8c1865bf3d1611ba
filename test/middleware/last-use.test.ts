import { describe, expect, test } from "vitest";
import type { ChangedUse } from "../../src/middleware/index.js";
import type { Data, Routes } from "./support/servers.js";
import { useSites } from "./support/site.js";

const t = useSites();

const FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
const SAFARI =
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15";

const at = (ip: string, agent = FIREFOX) => ({ "X-Forwarded-For": ip, "User-Agent": agent });
const [HOME, CAFE] = ["203.0.113.7", "2001:db8::9"];

const routes: Routes = {
  "/login": (req) => req.rs.create("alice"),
  "/me": (req) => req.rs.get(),
  "/peek": (req) => req.rs.get({ touch: false }),
  "/twice": async (req) => Promise.all([req.rs.get(), req.rs.get()]),
  "/kill-others": (req) => req.rs.killOthers(),
};

/** Pretends that the last use and the last change were so long ago, ms. */
async function age(ref: string, ms: number): Promise<void> {
  const key = `rs:{webapp}:s:${ref}`;
  const text = `${await t.db.get(key)}`
    .replace(/^\d+/, (la) => `${Number(la) - ms}`)
    .replace(/ lastChange=(\d+)/, (_, changed) => ` lastChange=${changed - ms}`);
  await t.db.set(key, text, "KEEPTTL");
}

/** Opens a site, signs alice in at home, and returns her browser, her session, and the changes that the site was told. */
async function open(more: Routes = {}, onChange?: (change: ChangedUse<Data>, req: never) => unknown) {
  const changes: ChangedUse<Data>[] = [];
  const auth = t.auth({
    onChange: (change, req) => {
      changes.push(change);
      return onChange?.(change, req as never) as undefined;
    },
  });
  const site = await t.open(
    { ...routes, "/private": [auth.required(), (req) => req.rs.get()], ...more },
    { use: [auth], trustProxy: true },
  );
  const browser = site.browser();
  const { ref } = (await browser.post("/login", at(HOME))).body as { ref: string };
  const list = async () => (await t.rs.soid({ app: "webapp", id: "alice" })).sessions;
  return { browser, ref, list, changes, auth };
}

describe("the last use", () => {
  test("is recorded if it is from another address or device than the sign-in", async () => {
    const { browser, ref, list, changes } = await open();
    await age(ref, 5_000);
    await browser.get("/me", at(HOME));
    expect(await t.db.get(`rs:{webapp}:s:${ref}`)).toMatch(/\n7200\n/);
    expect((await list())[0]).not.toHaveProperty("lastIp");

    await age(ref, 5_000);
    // The answer shows the session as it was before this use.
    expect((await browser.get("/me", at(CAFE, SAFARI))).body).not.toHaveProperty("lastIp");
    expect(await list()).toMatchObject([
      { ip: HOME, device: "Firefox on Windows", lastIp: CAFE, lastDevice: "Safari on macOS" },
    ]);
    expect(changes).toMatchObject([
      {
        app: "webapp",
        session: { ref, id: "alice", ip: HOME },
        from: { ip: HOME, device: "Firefox on Windows" },
        to: { ip: CAFE, device: "Safari on macOS" },
      },
    ]);
  });

  test("is recorded at most once a minute", async () => {
    const { browser, ref, list, changes } = await open();
    const visits = [
      [5_000, CAFE, CAFE],
      [5_000, "198.51.100.1", CAFE],
      [54_000, "198.51.100.1", CAFE],
      [5_000, "198.51.100.1", "198.51.100.1"],
      // Back at home: the field disappears, and the next change waits for a minute, too.
      [61_000, HOME, undefined],
      [5_000, CAFE, undefined],
      [61_000, CAFE, CAFE],
    ] as const;
    for (const [pause, ip, recorded] of visits) {
      await age(ref, pause);
      await browser.get("/me", at(ip));
      expect((await list())[0]?.lastIp).toBe(recorded);
    }
    expect(changes.map(({ from, to }) => [from.ip, to.ip])).toEqual([
      [HOME, CAFE],
      [CAFE, "198.51.100.1"],
      ["198.51.100.1", HOME],
      [HOME, CAFE],
    ]);
  });

  test("costs no further command, and the others of a parallel burst do not report it again", async () => {
    const { browser, ref, list, changes } = await open();
    await browser.get("/me", at(HOME));
    await age(ref, 5_000);
    const commands = await t.redis.watch(() => browser.get("/twice", at(CAFE)));
    expect(commands).toHaveLength(1);
    await age(ref, 120_000);
    await Promise.all(Array.from({ length: 10 }, () => browser.get("/me", at("198.51.100.1"))));
    expect(changes.map(({ to }) => to.ip)).toEqual([CAFE, "198.51.100.1"]);
    expect((await list())[0]?.lastIp).toBe("198.51.100.1");
  });

  test("is not recorded by a request that does not touch the session, or whose address is unknown", async () => {
    const { browser, ref, list, changes } = await open();
    await age(ref, 5_000);
    await browser.get("/peek", at(CAFE, SAFARI));
    await browser.get("/me", at("unknown", ""));
    expect((await list())[0]).toMatchObject({ ip: HOME });
    expect((await list())[0]).not.toHaveProperty("lastIp");
    expect((await list())[0]).not.toHaveProperty("lastDevice");
    expect(changes).toEqual([]);
  });

  test("survives set, rotate and confirm, and any characters", async () => {
    const name = 'a "b" c=d\n%20 ü 😀'.repeat(2);
    const auth = t.auth({ device: (req) => (req.headers["x-name"] ? name : undefined) });
    const site = await t.open(routes, { use: [auth] });
    const browser = site.browser();
    const { ref } = (await browser.post("/login")).body as { ref: string };
    await age(ref, 5_000);
    await browser.get("/me", { "X-Name": "1" });
    const token = `${browser.token}`;
    await t.rs.set({ app: "webapp", token, d: { a: 1 } });
    await t.rs.confirm({ app: "webapp", token });
    const rotated = await t.rs.rotate({ app: "webapp", token });
    expect(await t.rs.get({ app: "webapp", token: `${rotated?.token}` })).toMatchObject({
      lastDevice: name,
      d: { a: 1 },
    });
  });

  describe("of a session that is larger than a script reads", () => {
    const LARGE = "x".repeat(300_000);

    test("is recorded in place", async () => {
      const { browser, ref, list, changes } = await open();
      await t.rs.set({ app: "webapp", ref, d: { note: LARGE } });
      const size = await t.db.strlen(`rs:{webapp}:s:${ref}`);
      await age(ref, 5_000);
      expect((await browser.get("/me", at(CAFE))).body).toMatchObject({ d: { note: LARGE } });
      expect(await list()).toMatchObject([{ ip: HOME, lastIp: CAFE, d: { note: LARGE } }]);
      expect(await t.db.strlen(`rs:{webapp}:s:${ref}`)).toBe(size);
      expect(changes).toHaveLength(1);
    });

    /** Alice's session was used in the café, and has become large, without room for more flags. */
    async function openFull() {
      const opened = await open();
      await age(opened.ref, 5_000);
      await opened.browser.get("/me", at(CAFE));
      await t.rs.set({ app: "webapp", ref: opened.ref, d: { note: LARGE } });
      const key = `rs:{webapp}:s:${opened.ref}`;
      await t.db.set(key, `${await t.db.get(key)}`.replace(/ +\n/, "\n"), "KEEPTTL");
      expect(await opened.list()).toMatchObject([{ lastIp: CAFE }]);
      return opened;
    }

    test("is dropped if there is no room, rather than kept from before", async () => {
      const { browser, ref, list, changes } = await openFull();
      await age(ref, 61_000);
      const { body } = await browser.get("/me", at("2001:db8:1111:2222:3333:4444:5555:6666", SAFARI));
      expect(body).toMatchObject({ d: { note: LARGE } });
      expect((await list())[0]).not.toHaveProperty("lastIp");
      expect(changes).toHaveLength(1);
    });

    test("makes room for confirm", async () => {
      const { ref, list } = await openFull();
      const confirmed = await t.rs.confirm({ app: "webapp", ref });
      expect(confirmed?.authTime).toBeGreaterThan(confirmed?.created as number);
      expect(await list()).toEqual([confirmed]);
      expect(confirmed).not.toHaveProperty("lastIp");
    });
  });
});

describe("onChange", () => {
  test("may end the session: required then answers 401, and get returns null", async () => {
    const { browser, ref, list } = await open({}, (_change, req: { rs: { kill(): unknown } }) => req.rs.kill());
    await age(ref, 5_000);
    expect((await browser.get("/private", at(CAFE))).status).toBe(401);
    expect(await list()).toEqual([]);
    expect((await browser.get("/me", at(HOME))).body).toBeNull();
  });

  test("may use req.rs without waiting for itself", async () => {
    const seen: unknown[] = [];
    const { browser, ref } = await open({}, async (_change, req: { rs: { get(): Promise<unknown> } }) => {
      seen.push(await req.rs.get());
    });
    await age(ref, 5_000);
    expect((await browser.get("/private", at(CAFE))).status).toBe(200);
    expect(seen).toMatchObject([{ id: "alice" }]);
  });

  test("is called by killOthers, too", async () => {
    const { browser, ref, changes } = await open();
    await age(ref, 5_000);
    expect((await browser.get("/kill-others", at(CAFE))).body).toEqual({ kill: 0 });
    expect(changes).toHaveLength(1);
  });

  test("makes get reject if it throws", async () => {
    const { browser, ref } = await open({}, () => Promise.reject(new Error("no mail server")));
    await age(ref, 5_000);
    expect((await browser.get("/me", at(CAFE))).status).toBe(500);
    expect((await browser.get("/me", at(CAFE))).status).toBe(200);
  });

  test("must be a function", () => {
    expect(() => t.auth({ onChange: true as never })).toThrow("sessions: onChange must be a function");
  });
});

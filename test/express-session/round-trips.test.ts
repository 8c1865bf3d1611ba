import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { editFields } from "../support/session-text.js";
import type { Browser } from "./support/browser.js";
import { SETTINGS } from "./support/races.js";
import type { Site } from "./support/site.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

let site: Site;
let browser: Browser;

async function open(options: Parameters<typeof t.site>[0] = {}): Promise<void> {
  site = await t.site({ cookie: { maxAge: 60_000 }, ...options });
  browser = site.browser();
  await browser.get("/login/alice");
}

/** The commands that a request for a page costs, if the session was last used `ago` ms ago. */
async function costs(path: string, ago = 0): Promise<string[]> {
  const commands = await t.redis.watch(async () => {
    await editFields(t.db, `rs:{sess}:s:~${browser.sid}`, { la: Date.now() - ago });
    await browser.get(path);
  });
  // editFields costs two.
  return commands.map(([command = ""]) => command.toLowerCase()).slice(2);
}

beforeEach(async () => {
  await open();
  await t.store().destroy(browser.sid); // loads the scripts
  await browser.get("/login/alice");
  await browser.get("/set/warm/up");
});

test("a request that only reads costs one command", async () => {
  expect(await costs("/me")).toEqual(["evalsha"]);
});

test("a request that changes a key costs two commands", async () => {
  expect(await costs("/set/color/red")).toEqual(["evalsha", "evalsha"]);
  expect(await costs("/delete/color")).toEqual(["evalsha", "evalsha"]);
  expect(await costs("/push/tea")).toEqual(["evalsha", "evalsha"]);
});

test("a request that sets a key to its present value costs one command", async () => {
  await browser.get("/set/color/red");
  expect(await costs("/set/color/red")).toEqual(["evalsha"]);
});

test("a request that saves and changes nothing after that costs two commands", async () => {
  expect(await costs("/save/color/red")).toEqual(["evalsha", "evalsha"]);
});

describe("a request that only reads costs one command, and one that writes costs two,", () => {
  test.each(SETTINGS)(
    "with resave $resave, rolling $rolling, saveUninitialized $saveUninitialized",
    async (setting) => {
      await open(setting);
      await browser.get("/me"); // At its first load, a store announces that it takes over sessions.
      expect(await costs("/me")).toEqual(["evalsha"]);
      expect(await costs("/set/color/red")).toEqual(["evalsha", "evalsha"]);
    },
  );

  test("with a cookie that expires with the browser session", async () => {
    await open({ cookie: {} });
    await browser.get("/me"); // At its first load, a store announces that it takes over sessions.
    expect(await costs("/me")).toEqual(["evalsha"]);
    expect(await costs("/set/color/red")).toEqual(["evalsha", "evalsha"]);
  });
});

test("a request after more than a second costs one command and prolongs the session", async () => {
  const key = `rs:{sess}:s:~${browser.sid}`;
  await t.db.pexpire(key, 5000);
  expect(await costs("/me", 1500)).toEqual(["evalsha"]);
  expect(await t.db.pttl(key)).toBeGreaterThan(59_000);
});

describe("with a fake clock", () => {
  let now: number;

  beforeEach(() => {
    now = Date.now();
    vi.spyOn(Date, "now").mockImplementation(() => now);
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** Sends a request that only reads `ago` ms after the session's last use, and takes `takes` ms. */
  async function visit(ago: number, takes: number) {
    const key = `rs:{sess}:s:~${browser.sid}`;
    let afterRead = 0;
    const commands = await t.redis.watch(async () => {
      await editFields(t.db, key, { la: now - ago, ttl: 60 });
      await t.db.pexpire(key, 10_000);
      const under = browser.get("/gate/me");
      await site.gate.waitFor(1);
      afterRead = await t.db.pttl(key);
      await t.db.pexpire(key, 5000);
      now += takes;
      site.gate.open();
      await under;
    });
    const calls = commands.map(([command = ""]) => command.toLowerCase()).filter((command) => command === "evalsha");
    return { calls: calls.length, readProlongs: afterRead > 59_000, endProlongs: (await t.db.pttl(key)) > 59_000 };
  }

  test.each([0, 49])("reading does not prolong a session that was used %s ms ago", async (ago) => {
    expect(await visit(ago, 0)).toEqual({ calls: 1, readProlongs: false, endProlongs: false });
  });

  test.each([50, 700, 999, 1000, 5000])("reading prolongs a session that was used %s ms ago", async (ago) => {
    expect(await visit(ago, 0)).toEqual({ calls: 1, readProlongs: true, endProlongs: false });
  });

  test.each([
    [0, 999],
    [40, 959],
    [700, 400],
    [700, 999],
  ])("a request %s ms after the last that takes %s ms costs no second command", async (ago, takes) => {
    expect(await visit(ago, takes)).toMatchObject({ calls: 1, endProlongs: false });
  });

  test.each([
    [0, 1000],
    [40, 960],
    [700, 1000],
    [5000, 60_000 - 1],
  ])(
    "a request %s ms after the last that takes %s ms costs a second command, which prolongs the session again",
    async (ago, takes) => {
      expect(await visit(ago, takes)).toMatchObject({ calls: 2, endProlongs: true });
    },
  );
});

test("a request that changes only maxAge prolongs or shortens the session at once", async () => {
  const key = `rs:{sess}:s:~${browser.sid}`;
  expect(await costs("/max-age/3600000")).toEqual(["evalsha", "evalsha"]);
  expect(await t.db.pttl(key)).toBeGreaterThan(3_590_000);
  expect(await costs("/me")).toEqual(["evalsha"]);
  expect(await costs("/max-age/10000")).toEqual(["evalsha", "evalsha"]);
  expect(await t.db.pttl(key)).toBeLessThanOrEqual(10_000);
  expect(await costs("/me")).toEqual(["evalsha"]);
});

test("a clock tick within express-session makes no request a write", async () => {
  let tick = Date.now();
  const now = vi.spyOn(Date, "now").mockImplementation(() => tick++);
  try {
    expect(await costs("/me")).toEqual(["evalsha"]);
    expect(await costs("/me")).toEqual(["evalsha"]);
  } finally {
    now.mockRestore();
  }
});

test("rolling sends the cookie each time and costs no command", async () => {
  await open({ rolling: true });
  expect((await browser.get("/me")).cookies).toHaveLength(1);
  expect(await costs("/me")).toEqual(["evalsha"]);
});

test("a new session costs one command, a logout two", async () => {
  const commands = await t.redis.watch(async () => {
    const another = site.browser();
    await another.get("/login/bob");
    await another.get("/logout");
  });
  // The second request first reads the session. DEL removes a session that connect-redis may have written.
  expect(commands.map(([command = ""]) => command.toLowerCase())).toEqual(["evalsha", "evalsha", "evalsha", "del"]);
});

test("with legacy: false an unknown cookie costs one command, and a logout two with the read", async () => {
  const store = t.store({ legacy: false });
  await store.set("sid", withCookie({}));
  await store.destroy("sid");
  const commands = await t.redis.watch(async () => {
    await store.get("unknown");
    await store.get("sid");
    await store.destroy("sid");
  });
  expect(commands.map(([command = ""]) => command.toLowerCase())).toEqual(["evalsha", "evalsha", "evalsha"]);
});

test("disableTouch and disableTTL cost no further command", async () => {
  for (const options of [{ disableTouch: true }, { disableTTL: true }]) {
    await open({ store: t.store(options) });
    await browser.get("/me"); // At its first load, a store announces that it takes over sessions.
    expect(await costs("/me", 5000)).toEqual(["evalsha"]);
    expect(await costs("/set/color/red", 5000)).toEqual(["evalsha", "evalsha"]);
  }
});

test("sends only the keys that changed", async () => {
  await browser.get(`/set/large/${"x".repeat(1000)}`);
  const commands = await t.redis.watch(() => browser.get("/set/color/red"));
  const [, write = []] = commands;
  expect(write.join()).toContain("red");
  expect(write.join()).not.toContain("xxx");
});

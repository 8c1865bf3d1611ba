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

/** The commands that a page costs, when the session was last used `ago` ms before. */
async function costs(path: string, ago = 0): Promise<string[]> {
  const commands = await t.redis.watch(async () => {
    await editFields(t.db, `rs:{sess}:s:~${browser.sid}`, { la: Date.now() - ago });
    await browser.get(path);
  });
  // Without the two that editFields costs.
  return commands.map(([command = ""]) => command.toLowerCase()).slice(2);
}

beforeEach(async () => {
  await open();
  await t.store().destroy(browser.sid); // the scripts are loaded
  await browser.get("/login/alice");
  await browser.get("/set/warm/up");
});

test("a request that only reads is one command", async () => {
  expect(await costs("/me")).toEqual(["evalsha"]);
});

test("a request that changes a key is two commands", async () => {
  expect(await costs("/set/color/red")).toEqual(["evalsha", "evalsha"]);
  expect(await costs("/delete/color")).toEqual(["evalsha", "evalsha"]);
  expect(await costs("/push/tea")).toEqual(["evalsha", "evalsha"]);
});

test("a request that writes what is there already is one command", async () => {
  await browser.get("/set/color/red");
  expect(await costs("/set/color/red")).toEqual(["evalsha"]);
});

test("a request that saves half-way and changes nothing after that is two commands", async () => {
  expect(await costs("/save/color/red")).toEqual(["evalsha", "evalsha"]);
});

describe("a request that only reads is one command, and one that writes is two,", () => {
  test.each(SETTINGS)(
    "with resave $resave, rolling $rolling, saveUninitialized $saveUninitialized",
    async (setting) => {
      await open(setting);
      expect(await costs("/me")).toEqual(["evalsha"]);
      expect(await costs("/set/color/red")).toEqual(["evalsha", "evalsha"]);
    },
  );

  test("with a cookie that ends with the browser", async () => {
    await open({ cookie: {} });
    expect(await costs("/me")).toEqual(["evalsha"]);
    expect(await costs("/set/color/red")).toEqual(["evalsha", "evalsha"]);
  });
});

test("a request after more than a second is still one command, and prolongs the session", async () => {
  const key = `rs:{sess}:s:~${browser.sid}`;
  await t.db.pexpire(key, 5000);
  expect(await costs("/me", 1500)).toEqual(["evalsha"]);
  expect(await t.db.pttl(key)).toBeGreaterThan(59_000);
});

describe("by a clock that is in the test's hand,", () => {
  let now: number;

  beforeEach(() => {
    now = Date.now();
    vi.spyOn(Date, "now").mockImplementation(() => now);
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** A request that only reads, `ago` ms after the session's last use, and takes `takes` ms. */
  async function visit(ago: number, takes: number) {
    const key = `rs:{sess}:s:~${browser.sid}`;
    let afterRead = 0;
    const commands = await t.redis.watch(async () => {
      await editFields(t.db, key, { la: now - ago, ttl: 60 });
      await t.db.pexpire(key, 10_000);
      const under = browser.get("/gate/me");
      await site.gate.crowd(1);
      afterRead = await t.db.pttl(key);
      await t.db.pexpire(key, 5000);
      now += takes;
      site.gate.open();
      await under;
    });
    const calls = commands.map(([command = ""]) => command.toLowerCase()).filter((command) => command === "evalsha");
    return { calls: calls.length, readProlongs: afterRead > 59_000, endProlongs: (await t.db.pttl(key)) > 59_000 };
  }

  test.each([0, 49])("reading prolongs no session that was used %s ms ago", async (ago) => {
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
  ])(
    "a request %s ms after the last that takes %s ms ends within the second, and costs no more",
    async (ago, takes) => {
      expect(await visit(ago, takes)).toMatchObject({ calls: 1, endProlongs: false });
    },
  );

  test.each([
    [0, 1000],
    [40, 960],
    [700, 1000],
    [5000, 60_000 - 1],
  ])(
    "a request %s ms after the last that takes %s ms is one command more, and prolongs it again",
    async (ago, takes) => {
      expect(await visit(ago, takes)).toMatchObject({ calls: 2, endProlongs: true });
    },
  );
});

test("a request that changes maxAge alone prolongs or shortens the session at once", async () => {
  const key = `rs:{sess}:s:~${browser.sid}`;
  expect(await costs("/max-age/3600000")).toEqual(["evalsha", "evalsha"]);
  expect(await t.db.pttl(key)).toBeGreaterThan(3_590_000);
  expect(await costs("/me")).toEqual(["evalsha"]);
  expect(await costs("/max-age/10000")).toEqual(["evalsha", "evalsha"]);
  expect(await t.db.pttl(key)).toBeLessThanOrEqual(10_000);
  expect(await costs("/me")).toEqual(["evalsha"]);
});

test("the clock that ticks between two readings of express-session's own makes no request a write", async () => {
  let tick = Date.now();
  const now = vi.spyOn(Date, "now").mockImplementation(() => tick++);
  try {
    expect(await costs("/me")).toEqual(["evalsha"]);
    expect(await costs("/me")).toEqual(["evalsha"]);
  } finally {
    now.mockRestore();
  }
});

test("rolling sends the cookie each time, and costs nothing", async () => {
  await open({ rolling: true });
  expect((await browser.get("/me")).cookies).toHaveLength(1);
  expect(await costs("/me")).toEqual(["evalsha"]);
});

test("a new session is one command, logging out two", async () => {
  const commands = await t.redis.watch(async () => {
    const another = site.browser();
    await another.get("/login/bob");
    await another.get("/logout");
  });
  // The session is read at the beginning of the second request; DEL looks after what connect-redis may have left.
  expect(commands.map(([command = ""]) => command.toLowerCase())).toEqual(["evalsha", "evalsha", "evalsha", "del"]);
});

test("without take-over an unknown cookie is one command, and logging out two with the read", async () => {
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

test("disableTouch and disableTTL cost no more", async () => {
  for (const options of [{ disableTouch: true }, { disableTTL: true }]) {
    await open({ store: t.store(options) });
    expect(await costs("/me", 5000)).toEqual(["evalsha"]);
    expect(await costs("/set/color/red", 5000)).toEqual(["evalsha", "evalsha"]);
  }
});

test("only the keys that changed travel", async () => {
  await browser.get(`/set/large/${"x".repeat(1000)}`);
  const commands = await t.redis.watch(() => browser.get("/set/color/red"));
  const [, write = []] = commands;
  expect(write.join()).toContain("red");
  expect(write.join()).not.toContain("xxx");
});

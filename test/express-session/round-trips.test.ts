import { beforeEach, describe, expect, test, vi } from "vitest";
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
    await t.db.hset(`rs:{sess}:s:${browser.sid}`, "la", Date.now() - ago);
    await browser.get(path);
  });
  return commands.map(([command = ""]) => command.toLowerCase()).slice(1);
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
  const key = `rs:{sess}:s:${browser.sid}`;
  await t.db.pexpire(key, 5000);
  expect(await costs("/me", 1500)).toEqual(["evalsha"]);
  expect(await t.db.pttl(key)).toBeGreaterThan(59_000);
});

test("a request that comes within the second but ends after it is one command more, and prolongs the session", async () => {
  const key = `rs:{sess}:s:${browser.sid}`;
  const commands = await t.redis.watch(async () => {
    await t.db.hset(key, "la", Date.now() - 700);
    const under = browser.get("/gate/me");
    await site.gate.crowd(1);
    await t.db.pexpire(key, 5000);
    await new Promise((resolve) => setTimeout(resolve, 400));
    site.gate.open();
    await under;
  });
  expect(commands.map(([command = ""]) => command.toLowerCase())).toEqual(["hset", "evalsha", "pexpire", "evalsha"]);
  expect(await t.db.pttl(key)).toBeGreaterThan(59_000);
});

test("a request that changes maxAge alone prolongs or shortens the session at once", async () => {
  const key = `rs:{sess}:s:${browser.sid}`;
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
  expect(write).toContain('"color"');
  expect(write.join()).not.toContain("xxx");
});

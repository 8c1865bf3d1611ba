import { describe, expect, test } from "vitest";
import { lostKeys, SETTINGS } from "./support/races.js";
import { useStores } from "./support/stores.js";

const t = useStores();

describe("eight parallel requests that write different keys", () => {
  test.each(SETTINGS)(
    "with resave $resave, rolling $rolling, saveUninitialized $saveUninitialized",
    async (setting) => {
      const site = await t.site({ ...setting, cookie: { maxAge: 60_000 } });
      expect(await lostKeys(site, 30)).toBe(0);
    },
  );

  test("lose no key in hundreds of rounds", async () => {
    expect(await lostKeys(await t.site(), 250)).toBe(0);
  });

  test("lose no key in Express 4", async () => {
    expect(await lostKeys(await t.site({ express: "Express 4", resave: true }), 50)).toBe(0);
  });

  test("lose no key with hashed ids", async () => {
    expect(await lostKeys(await t.site({ store: t.store({ hashIds: true }) }), 20)).toBe(0);
  });

  test("lose keys on connect-redis 8, the control", async () => {
    expect(await lostKeys(await t.site({ store: t.connectRedis() }), 30)).toBeGreaterThan(0);
  });
});

/** Runs requests that have all loaded the session before the first of them writes. */
async function overlapping(paths: string[]): Promise<Record<string, unknown>> {
  const site = await t.site({ resave: true });
  const browser = site.browser();
  await browser.get("/login/alice");
  await browser.get("/set/note/hello");
  await browser.get("/push/tea");
  const under: Promise<unknown>[] = [];
  for (const path of paths) {
    under.push(browser.get(`/gate${path}`));
    await site.gate.waitFor(under.length);
  }
  site.gate.open();
  await Promise.all(under);
  return (await browser.get("/me")).body;
}

test("parallel requests that delete one key and write another lose neither change", async () => {
  const body = await overlapping(["/delete/note", "/set/color/red"]);
  expect(body).toMatchObject({ userId: "alice", color: "red", cart: ["tea"] });
  expect(body).not.toHaveProperty("note");
});

test("requests that only read do not restore a key that was deleted meanwhile", async () => {
  expect(await overlapping(["/me", "/delete/note", "/me", "/me"])).not.toHaveProperty("note");
});

test("requests that delete all keys leave none", async () => {
  const body = await overlapping(["/delete/note", "/delete/cart", "/delete/userId"]);
  expect(Object.keys(body).sort()).toEqual(["expires", "id"]);
});

test("a change inside a value is written without any other key", async () => {
  const body = await overlapping(["/push/cake", "/set/note/bye", "/set/color/red"]);
  expect(body).toMatchObject({ cart: ["tea", "cake"], note: "bye", color: "red" });
});

test("a request that saves twice loses nothing", async () => {
  const body = await overlapping(["/save/one/1", "/save/two/2", "/set/three/3"]);
  expect(body).toMatchObject({ one: "1", two: "2", three: "3", note: "hello" });
});

test("reload sees what other requests have written meanwhile", async () => {
  const site = await t.site();
  const browser = site.browser();
  await browser.get("/login/alice");
  const under = browser.get("/gate/reload");
  await site.gate.waitFor(1);
  await browser.get("/set/color/red");
  site.gate.open();
  expect((await under).body).toMatchObject({ userId: "alice", color: "red" });
});

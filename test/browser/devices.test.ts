import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { startBrowser } from "../support/browser.js";
import { startExample } from "../support/example.js";
import type { Program } from "../support/programs.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { editFields } from "../support/session-text.js";

const FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0";
const IPHONE =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";
const EDGE =
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0";

/** The folder for screenshots. Look at them when you change the pages. */
const SHOTS = join(tmpdir(), "ioredis-sessions-screenshots");

let redis: TestRedis;
let example: Program;
let browser: Browser;
/** The messages of the browsers' consoles, and the errors of the pages. */
let complaints: string[];

beforeAll(async () => {
  mkdirSync(SHOTS, { recursive: true });
  redis = await startRedis();
  example = await startExample("devices.js", redis.url);
  browser = await startBrowser();
}, 240_000);
beforeEach(async () => {
  complaints = [];
  await redis.client().flushdb();
});
afterEach(() => Promise.all(browser.contexts().map((context) => context.close())));
afterAll(async () => {
  await browser?.close();
  await example?.stop();
  await redis?.stop();
});

/** Opens a browser with its own cookies, and its own IP address. */
async function open(userAgent: string, ip: string): Promise<Page> {
  const context: BrowserContext = await browser.newContext({ userAgent, extraHTTPHeaders: { "X-Forwarded-For": ip } });
  context.setDefaultTimeout(5000);
  const page = await context.newPage();
  page.on("console", (message) => complaints.push(`${page.url()}: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.message}`));
  await page.goto(example.url);
  return page;
}

async function logIn(page: Page, name: string): Promise<void> {
  await page.getByLabel("Name").fill(name);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Where you are signed in" }).waitFor();
}

const click = (page: Page, name: string | RegExp) => page.getByRole("button", { name }).click();
const devices = (page: Page) => texts(page.getByRole("listitem").getByRole("heading"));
const notice = (page: Page) => page.getByRole("status").textContent();
const isLogin = (page: Page) => page.getByRole("heading", { name: "Log in", exact: true }).isVisible();

test("shows both devices of a user, ends the other one and ends all others", async () => {
  const windows = await open(FIREFOX, "203.0.113.7");
  await logIn(windows, "alice");
  expect(await devices(windows)).toEqual(["Firefox on Windows This device"]);
  expect(await windows.getByText("You are signed in nowhere else.").isVisible()).toBe(true);
  expect(await windows.getByRole("button", { name: "Sign out all other devices" }).count()).toBe(0);

  const phone = await open(IPHONE, "198.51.100.23");
  await logIn(phone, "alice");
  expect(await devices(phone)).toEqual(["Safari on iOS This device", "Firefox on Windows"]);
  await windows.reload();
  expect(await devices(windows)).toEqual(["Firefox on Windows This device", "Safari on iOS"]);
  expect((await texts(windows.getByRole("listitem")))[1]).toContain("198.51.100.23 Last seen");

  await click(windows, /^Sign out Safari on iOS, 198\.51\.100\.23/);
  expect(await notice(windows)).toBe("Safari on iOS is signed out.");
  expect(await devices(windows)).toEqual(["Firefox on Windows This device"]);
  await windows.reload();
  expect(await windows.getByRole("status").count()).toBe(0);

  await click(phone, "Dark");
  expect(await isLogin(phone)).toBe(true);
  expect(await notice(phone)).toMatch(/signed out on this device/);
  await logIn(phone, "alice");
  const mac = await open(EDGE, "2001:db8::a7");
  await logIn(mac, "alice");
  await click(phone, "Sign out all other devices");
  expect(await notice(phone)).toBe("2 other devices are signed out.");
  expect(await devices(phone)).toEqual(["Safari on iOS This device"]);
  for (const other of [windows, mac]) {
    await other.reload();
    expect(await isLogin(other)).toBe(true);
  }

  await click(phone, "Sign out");
  expect(await isLogin(phone)).toBe(true);
  expect(complaints).toEqual([]);
});

test("signs a user out everywhere, this device included", async () => {
  const windows = await open(FIREFOX, "203.0.113.7");
  await logIn(windows, "alice");
  expect(await windows.getByRole("button", { name: "Sign out everywhere" }).count()).toBe(0);
  const phone = await open(IPHONE, "198.51.100.23");
  await logIn(phone, "alice");
  const bob = await open(EDGE, "192.0.2.4");
  await logIn(bob, "bob");
  await click(phone, "Sign out everywhere");
  expect(await isLogin(phone)).toBe(true);
  expect(await notice(phone)).toBe("You are signed out on all devices.");
  await windows.reload();
  expect(await isLogin(windows)).toBe(true);
  await bob.reload();
  expect(await devices(bob)).toEqual(["Microsoft Edge on macOS This device"]);
  expect(complaints).toEqual([]);
});

test("keeps the cookie for 30 days if the user wants to stay signed in, otherwise until the browser closes", async () => {
  const page = await open(FIREFOX, "203.0.113.7");
  const cookie = async () => (await page.context().cookies()).find(({ name }) => name === "rs");
  const days = async () => ((await cookie())?.expires ?? 0) / 86_400 - Date.now() / 86_400_000;
  await logIn(page, "alice");
  // Playwright's number for a cookie that ends with the browser.
  expect((await cookie())?.expires).toBe(-1);
  expect((await texts(page.getByRole("listitem")))[0]).not.toContain("Stays signed in");

  await click(page, "Sign out");
  await page.getByLabel("Stay signed in").check();
  await logIn(page, "alice");
  expect(await days()).toBeCloseTo(30, 1);
  expect((await texts(page.getByRole("listitem")))[0]).toContain("Stays signed in");
  await click(page, "Dark");
  expect(await days()).toBeCloseTo(30, 1);
  expect(complaints).toEqual([]);
});

test("shows where a device was used last, if that is not where its user signed in", async () => {
  const page = await open(FIREFOX, "203.0.113.7");
  await logIn(page, "alice");
  const other = await open(EDGE, "192.0.2.4");
  await logIn(other, "alice");
  const ref = await other.locator("[name=ref]").inputValue();
  // A use within a second of the last one is not recorded.
  await age(ref, 60);
  await page.context().setExtraHTTPHeaders({ "X-Forwarded-For": "198.51.100.23" });
  await page.reload();
  const row = async (on: Page, index: number) => (await texts(on.getByRole("listitem")))[index];
  await other.reload();
  expect(await row(other, 1)).toMatch(/203\.0\.113\.7 .* Last used by Firefox on Windows from 198\.51\.100\.23/);
  expect(await row(other, 0)).not.toContain("Last used");
  expect(complaints).toEqual([]);
});

test("shows the recovery codes to a user who signed in lately, and asks others again who they are", async () => {
  const page = await open(FIREFOX, "203.0.113.7");
  await logIn(page, "alice");
  const other = await open(EDGE, "192.0.2.4");
  await logIn(other, "alice");
  const ref = await other.locator("[name=ref]").inputValue();
  const heading = (name: string) => page.getByRole("heading", { name, level: 1 });
  await page.getByRole("link", { name: "Show recovery codes" }).click();
  expect(await heading("Recovery codes").isVisible()).toBe(true);
  expect(await page.getByRole("listitem").count()).toBe(4);

  await age(ref, 301);
  await page.goto(`${example.url}/codes`);
  expect(await heading("Confirm who you are").isVisible()).toBe(true);
  await page.getByLabel("Name").fill("bob");
  await click(page, "Confirm");
  expect(await notice(page)).toBe("That is not the name of this account.");
  await page.goto(`${example.url}/codes`);
  await page.getByLabel("Name").fill("alice");
  await click(page, "Confirm");
  expect(await heading("Recovery codes").isVisible()).toBe(true);
  await page.goto(`${example.url}/codes`);
  expect(await page.getByText("You confirmed who you are").isVisible()).toBe(true);
  expect(complaints).toEqual([]);
});

test("refuses to end the device of another user, and a form of another site", async () => {
  const alice = await open(FIREFOX, "203.0.113.7");
  await logIn(alice, "alice");
  const bob = await open(IPHONE, "198.51.100.23");
  await logIn(bob, "bob");
  const bobElsewhere = await open(EDGE, "198.51.100.24");
  await logIn(bobElsewhere, "bob");
  await bob.reload();
  const ref = await bob.locator("[name=ref]").inputValue();
  const post = (headers = {}) =>
    alice.request.post(`${example.url}/devices/end`, { form: { ref }, headers, maxRedirects: 0 });

  expect((await post()).status()).toBe(303);
  expect((await post({ "Sec-Fetch-Site": "cross-site" })).status()).toBe(403);
  await alice.reload();
  expect(await notice(alice)).toBe("That device was signed out already.");
  await bobElsewhere.reload();
  expect(await devices(bobElsewhere)).toHaveLength(2);
});

test("shows active users to the admin, who signs a user out everywhere", async () => {
  const [alice, phone, admin] = await Promise.all([
    open(FIREFOX, "203.0.113.7"),
    open(IPHONE, "198.51.100.23"),
    open(EDGE, "192.0.2.4"),
  ]);
  await logIn(alice, "alice");
  await logIn(phone, "alice");
  await alice.goto(`${example.url}/admin`);
  expect(await alice.getByRole("heading").textContent()).toBe("Only for the admin");
  expect(complaints.splice(0)).toEqual([expect.stringContaining("403")]);

  await logIn(admin, "admin");
  await admin.getByRole("link", { name: "Active users" }).click();
  await admin.getByText("2 users").waitFor();
  expect((await texts(admin.getByRole("rowheader"))).sort()).toEqual(["admin You", "alice", "alice"]);
  expect(await texts(admin.getByRole("row"))).toContainEqual(
    expect.stringMatching(/^alice Firefox on Windows 203\.0\.113\.7 .* Sign out alice everywhere$/),
  );

  await admin.getByRole("button", { name: "Sign out alice everywhere" }).first().click();
  expect(await notice(admin)).toBe("alice is signed out everywhere (2 sessions).");
  expect(await texts(admin.getByRole("rowheader"))).toEqual(["admin You"]);
  for (const page of [alice, phone]) {
    await page.goto(example.url);
    expect(await isLogin(page)).toBe(true);
  }
  await click(admin, "Sign out admin everywhere");
  expect(await isLogin(admin)).toBe(true);
  expect(complaints).toEqual([]);
});

test("splits the admin's list into pages of 50", async () => {
  const admin = await open(EDGE, "192.0.2.4");
  await logIn(admin, "admin");
  await Promise.all(Array.from({ length: 55 }, (_, i) => fetchLogin(`user ${i}`)));
  await admin.goto(`${example.url}/admin`);
  expect(await admin.getByText("56 users").isVisible()).toBe(true);
  expect(await admin.getByRole("rowheader").count()).toBe(50);
  await admin.getByRole("link", { name: "Next" }).click();
  expect(await admin.getByText("Sessions 51–56").isVisible()).toBe(true);
  expect(await admin.getByRole("rowheader").count()).toBe(6);
  expect(await admin.getByRole("link", { name: "Next" }).count()).toBe(0);
  await admin.getByRole("link", { name: "Previous" }).click();
  expect(await admin.getByText("Sessions 1–50").isVisible()).toBe(true);
});

test("escapes names, and keeps the theme in the session", async () => {
  const page = await open(FIREFOX, "203.0.113.7");
  const name = `<img src=x onerror=alert(1)> "딸기" 🍓`;
  await logIn(page, name);
  expect(await page.getByText("can use the account").textContent()).toContain(name);
  for (const [button, paper] of [
    ["Dark", "rgb(15, 19, 26)"],
    ["Light", "rgb(244, 245, 248)"],
  ] as const) {
    await click(page, button);
    await page.goto(example.url);
    expect(await page.getByRole("button", { name: button }).getAttribute("aria-pressed")).toBe("true");
    expect(await page.evaluate("getComputedStyle(document.body).backgroundColor")).toBe(paper);
  }
  expect(complaints).toEqual([]);
});

test("every page has a language, title, headings and labels, and fits wide and narrow screens", async () => {
  const page = await open(FIREFOX, "203.0.113.7");
  const others = await Promise.all([open(IPHONE, "198.51.100.23"), open(EDGE, "2001:db8:85a3::8a2e:370:7334")]);
  const look = async (name: string) => {
    expect(await page.evaluate(problems), name).toEqual([]);
    for (const colorScheme of ["light", "dark"] as const) {
      for (const width of [1280, 950, 375, 320]) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 800 });
        const isTooWide = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
        expect(await page.evaluate(isTooWide), `${name} at ${width}`).toBe(false);
        if (width !== 1280 && width !== 375) continue;
        await page.screenshot({ path: join(SHOTS, `${name}-${colorScheme}-${width}.png`), fullPage: true });
      }
    }
  };
  await look("login");
  await logIn(page, "admin");
  await look("one-device");
  for (const other of others) await logIn(other, "admin");
  await Promise.all(["alice@example.com", "bob", "tenant:u9", "Zoë"].map(fetchLogin));
  await page.reload();
  const refs = await page.locator("[name=ref]").evaluateAll((fields) => fields.map(({ value }) => value));
  for (const [i, ref] of refs.entries()) await age(ref, 130 * (i + 1));
  await page.goto(`${example.url}/admin`);
  await look("admin");
  for (const [i, ref] of refs.entries()) await age(ref, 2400 * (1 + 49 * i));
  await page.goto(example.url);
  expect(await texts(page.getByRole("listitem"))).toEqual([
    expect.stringMatching(/This device .* Active now/),
    expect.stringMatching(/Last seen 42 minutes ago Signed in 42 minutes ago/),
    expect.stringMatching(/Last seen 33 hours ago Signed in 33 hours ago/),
  ]);
  await look("devices");
  await page.goto(`${example.url}/confirm`);
  await look("confirm");
  await page.getByLabel("Name").fill("admin");
  await click(page, "Confirm");
  await look("codes");
  await page.goto(example.url);
  await click(page, "Sign out all other devices");
  await look("ended");
  await page.goto(`${example.url}/nowhere`);
  await look("not-found");
});

async function texts(elements: Locator): Promise<string[]> {
  return (await elements.allTextContents()).map((text) => text.replaceAll(/\s+/g, " ").trim());
}

/** Signs in without a browser. */
async function fetchLogin(name: string): Promise<void> {
  const form = { method: "POST", body: new URLSearchParams({ name }), redirect: "manual" } as const;
  const headers = { "User-Agent": FIREFOX, "X-Forwarded-For": "203.0.113.99" };
  expect((await fetch(`${example.url}/login`, { ...form, headers })).status).toBe(303);
}

/** Changes a session as if it had not been used for some seconds. */
async function age(ref: string, seconds: number): Promise<void> {
  const earlier = { add: -seconds * 1000 };
  await editFields(redis.client(), `rs:{demo-devices}:s:${ref}`, { la: earlier, created: earlier });
}

/** Runs in the page and returns its accessibility faults. */
const problems = `(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const text = (element) => element.textContent.trim();
  const levels = all("h1, h2, h3").map((heading) => Number(heading.tagName[1]));
  const ids = all("[id]").map(({ id }) => id);
  return [
    document.documentElement.lang === "en" || "the page has no language",
    document.title !== "" || "the page has no title",
    levels.filter((level) => level === 1).length === 1 || "not exactly one h1",
    levels.every((level, i) => level <= (levels[i - 1] ?? 0) + 1) || "a heading's level is left out: " + levels,
    new Set(ids).size === ids.length || "two elements have the same id",
    all("main").length === 1 || "not exactly one main",
    ...all("input:not([type=hidden])").map((input) => [...input.labels].some(text) || "no label: " + input.outerHTML),
    ...all("button, a").map((one) => text(one) !== "" || "no name: " + one.outerHTML),
    ...all("svg").map((svg) => svg.ariaHidden === "true" || "a picture without words: " + svg.outerHTML),
    ...all("[aria-labelledby]").map((one) => ids.includes(one.getAttribute("aria-labelledby")) || one.outerHTML),
    ...all("button, input:not([type=hidden]), .button").map(
      (one) => {
        // The label of a checkbox is part of its target.
        const target = one.type === "checkbox" ? one.labels[0] : one;
        return target.getBoundingClientRect().height >= 40 || "too small for a thumb: " + one.outerHTML;
      },
    ),
  ].filter((problem) => problem !== true);
})()`;

import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AxeResults } from "axe-core";
import express from "express";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { DashboardRole } from "../../src/dashboard/index.js";
import { RedisSessions } from "../../src/index.js";
import { sessions } from "../../src/middleware/index.js";
import { startBrowser } from "../support/browser.js";
import { useEngine } from "../support/engine.js";
import { type Mount, useDashboards } from "./support/dashboard.js";

const t = useEngine({ events: true });
const start = useDashboards(t);

/** The folder for screenshots. Look at them when you change the pages. */
const SHOTS = join(tmpdir(), "ioredis-sessions-screenshots");
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

let browser: Browser;
/** The messages of the browsers' consoles, violations of the Content-Security-Policy among them, and errors of scripts. */
let complaints: string[];

beforeAll(async () => {
  mkdirSync(SHOTS, { recursive: true });
  browser = await startBrowser();
}, 240_000);
beforeEach(() => {
  complaints = [];
});
afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
  expect(complaints).toEqual([]);
});
afterAll(() => browser?.close());

/** The app whose sessions are shown: it signs in everybody who asks. */
const mountBesideApp: Mount = (handler, path) => {
  const auth = sessions({ rs: t.rs, app: "webapp", secret: "a secret of more than 32 characters" });
  return express()
    .use(path, handler)
    .get("/favicon.ico", (_req, res) => res.status(204).end())
    .use(auth)
    .get("/login/:name", async (req, res) => res.json(await req.rs.create(req.params.name)))
    .get("/", async (req, res) => res.send((await req.rs.get())?.id ?? "signed out"));
};

async function open(role: DashboardRole, url: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({
    extraHTTPHeaders: { "x-role": role },
    timezoneId: "Asia/Tokyo",
    locale: "en-GB",
    ...options,
  });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  page.on("console", (message) => complaints.push(`${page.url()}: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.message}`));
  await page.goto(url);
  return page;
}

async function find(page: Page, text: string): Promise<void> {
  await page.getByRole("searchbox").fill(text);
  await page.getByRole("searchbox").press("Enter");
  await page.getByRole("heading", { level: 1, name: text }).waitFor();
}

/** What axe-core finds. The page must have been opened with `bypassCSP`, because its policy forbids foreign scripts. */
async function violations(page: Page): Promise<string[]> {
  await page.addScriptTag({ path: AXE });
  const found = await page.evaluate<AxeResults>("axe.run()");
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

test("a supporter finds a user and ends one session; the other browser is signed out at once", async () => {
  const running = await start({}, mountBesideApp);
  const app = new URL("/", running.url).href;
  const phone = await open("viewer", `${app}login/alice`);
  // The newest session is in the first row.
  const laptop = await open("viewer", `${app}login/alice`);
  const page = await open("support", running.url);
  await find(page, "alice");
  expect(await page.getByRole("row").count()).toBe(3);
  await page
    .getByRole("link", { name: /^End… Chrome/ })
    .first()
    .click();
  const dialog = page.getByRole("dialog", { name: "End this session" });
  await dialog.getByLabel("Reason").fill("the laptop was stolen");
  await dialog.getByRole("button", { name: "End" }).click();
  await page.getByText("Ended sessions: 1").waitFor();
  expect(running.actions).toEqual([
    expect.objectContaining({ action: "kill", id: "alice", reason: "the laptop was stolen", ended: 1 }),
  ]);
  const bodies = await Promise.all(
    [phone, laptop].map(async (one) => {
      await one.goto(app);
      return one.locator("body").textContent();
    }),
  );
  expect(bodies).toEqual(["alice", "signed out"]);

  await page.getByRole("link", { name: "End all sessions…" }).click();
  await page.getByLabel("Reason").fill("the phone, too");
  await page.getByLabel("Reason").press("Enter");
  await page.getByText("This user is signed in nowhere.").waitFor();
  await phone.reload();
  expect(await phone.locator("body").textContent()).toBe("signed out");
});

test("works without JavaScript", async () => {
  await t.create({ device: "Firefox on Windows" });
  await t.create({ device: "Safari on iOS" });
  const { url, actions } = await start();
  const page = await open("support", url, { javaScriptEnabled: false });
  await find(page, "alice");
  await page.getByRole("link", { name: /^End… Safari on iOS/ }).click();
  await page.getByLabel("Reason").fill("lost");
  await page.getByRole("button", { name: "End", exact: true }).click();
  await page.getByText("Ended sessions: 1").waitFor();
  expect(await page.getByText("UTC").count()).toBeGreaterThan(0);
  await page.getByRole("link", { name: "End all sessions…" }).click();
  await page.getByRole("link", { name: "Cancel" }).click();
  await page.getByRole("link", { name: "End all sessions…" }).click();
  await page.getByLabel("Reason").fill("all of them");
  await page.getByRole("button", { name: "End", exact: true }).click();
  await page.getByText("This user is signed in nowhere.").waitFor();
  expect(actions.map(({ action, ended }) => [action, ended])).toEqual([
    ["kill", 1],
    ["killsoid", 1],
  ]);
});

test("an admin ends all sessions of the app with its name, a supporter does not see the button", async () => {
  await t.create();
  await t.create({ id: "bob" });
  const { url } = await start();
  const supporter = await open("support", url);
  expect(await supporter.getByRole("link", { name: /End all sessions of the app/ }).count()).toBe(0);
  const page = await open("admin", url);
  await page.getByRole("link", { name: "End all sessions of the app…" }).click();
  await page.getByLabel("Reason").fill("the secret leaked");
  await page.getByLabel("Type webapp to confirm").fill("shop");
  await page.getByRole("button", { name: "End", exact: true }).click();
  await page.getByText("The typed name is not webapp. Nothing was ended.").waitFor();
  await page.getByLabel("Reason").fill("the secret leaked");
  await page.getByLabel("Type webapp to confirm").fill("webapp");
  await page.getByRole("button", { name: "End", exact: true }).click();
  await page.getByText("Ended sessions: 2").waitFor();
});

test("a sign-in and an end are shown as they happen", async () => {
  const { url } = await start();
  const page = await open("viewer", url);
  const feed = page.getByRole("list", { name: "Sign-ins and ends" });
  await page.getByText("Live").waitFor();
  const { ref } = await t.create({ id: "<i>eve</i>", device: "Firefox on Windows" });
  await feed.getByText("<i>eve</i> signed in").waitFor();
  await page.getByRole("row", { name: "<i>eve</i>" }).waitFor();
  await t.rs.kill({ app: "webapp", ref });
  await feed.getByText("A session of <i>eve</i> was ended").waitFor();
  await page.getByText("Nobody is signed in.").waitFor();

  const user = await open("viewer", url);
  await find(user, "bob");
  await t.create({ id: "bob", device: "Safari on iOS" });
  await user.getByRole("link", { name: "Safari on iOS" }).waitFor();
  await t.rs.killsoid({ app: "webapp", id: "bob" });
  await user.getByText("This user is signed in nowhere.").waitFor();
});

test("a page renews itself while it is looked at, and keeps the focus", async () => {
  await t.create({ device: "Firefox on Windows" });
  const { url } = await start({ rs: new RedisSessions({ client: t.db, wipe: 0 }) });
  const page = await open("support", url);
  await page.clock.install();
  await find(page, "alice");
  await page.getByRole("link", { name: "Firefox on Windows", exact: true }).focus();
  await t.create({ device: "Safari on iOS" });
  await page.clock.runFor(10_500);
  await page.getByRole("link", { name: "Safari on iOS", exact: true }).waitFor();
  expect(await page.evaluate<string>("document.activeElement.textContent")).toBe("Firefox on Windows");

  await page.getByRole("link", { name: /^End… Safari/ }).click();
  await page.getByLabel("Reason").fill("half a rea");
  await t.create({ device: "Edge on macOS" });
  await page.clock.runFor(30_000);
  expect(await page.getByLabel("Reason").inputValue()).toBe("half a rea");
  await page.keyboard.press("Escape");
  await page.clock.runFor(10_500);
  await page.getByRole("link", { name: "Edge on macOS", exact: true }).waitFor();
});

test("times are in the reader's time zone and variant of the language", async () => {
  const { ref } = await t.create();
  const key = `rs:{webapp}:s:${ref}`;
  const lines = ((await t.db.get(key)) as string).split("\n");
  lines[4] = String(Date.UTC(2026, 0, 31, 20, 30));
  await t.db.set(key, lines.join("\n"), "KEEPTTL");
  const { url } = await start();
  const page = await open("viewer", `${url}/webapp/session/${ref}`);
  await page.getByText("1 Feb 2026, 05:30").waitFor();
});

test("everything can be done with the keyboard", async () => {
  await t.create({ device: "Firefox on Windows" });
  const { url, actions } = await start();
  const page = await open("support", url);
  const focused = () => page.evaluate<string>("document.activeElement.textContent.trim()");
  await page.keyboard.press("Tab");
  expect(await focused()).toBe("Skip to the content");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  expect(await focused()).toBe("alice");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "alice" }).waitFor();
  const button = page.getByRole("link", { name: /^End… Firefox/ });
  await button.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  expect(await focused()).toContain("End…");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.type("by keyboard");
  await page.keyboard.press("Enter");
  await page.getByText("Ended sessions: 1").waitFor();
  expect(actions[0]?.reason).toBe("by keyboard");
});

test("a dialog of a person who was signed out meanwhile leads to what the app answers", async () => {
  await t.create();
  let isIn = true;
  const { url } = await start({ authorize: () => (isIn ? { role: "admin", actor: 1 } : null) });
  const page = await open("admin", url);
  await find(page, "alice");
  isIn = false;
  await page.getByRole("link", { name: "End all sessions…" }).click();
  await page.getByRole("heading", { name: "Not allowed" }).waitFor();
  expect(complaints.splice(0).join()).toContain("403");
});

describe("at a glance", () => {
  const HOSTILE = `"><script>alert(1)</script> ${"wide".repeat(20)}`;

  async function fill(): Promise<string> {
    const devices = ["Firefox on Windows", "Chrome on Android", "Safari on iOS", undefined];
    for (let i = 0; i < 30; i++) {
      const device = devices[i % 4];
      await t.create({
        id: `user-${i}@example.com`,
        ip: `2001:db8:1234:5678:9abc:def0:1234:${1000 + i}`,
        ...(device && { device }),
      });
    }
    await t.create({ id: HOSTILE, device: HOSTILE.slice(0, 64), actor: HOSTILE });
    const { ref } = await t.create({ device: "Safari on iOS", maxAge: 86_400, d: { html: HOSTILE, cart: 3 } });
    return ref;
  }

  test.each(["light", "dark"] as const)(
    "no page has faults of accessibility, and none is wider than the screen: %s",
    async (colorScheme) => {
      const ref = await fill();
      const { url } = await start({ data: true, apps: ["webapp", "shop"] });
      const page = await open("admin", `${url}/webapp/`, { colorScheme, bypassCSP: true });
      await find(page, HOSTILE);
      const user = page.url();
      const paths = {
        overview: `${url}/webapp/`,
        sessions: `${url}/webapp/sessions`,
        user,
        session: `${url}/webapp/session/${ref}`,
        "end-user": `${user}/end`,
        "end-app": `${url}/webapp/end`,
        apps: `${url}/`,
        empty: `${url}/shop/`,
      };
      for (const [name, path] of Object.entries(paths)) {
        await page.goto(path);
        for (const width of [320, 1280, 2560]) {
          await page.setViewportSize({ width, height: 900 });
          const overflow = await page.evaluate<number>("document.documentElement.scrollWidth - innerWidth");
          expect([name, width, overflow]).toEqual([name, width, 0]);
          if (width < 2560) {
            await page.screenshot({
              path: join(SHOTS, `dashboard-${name}-${colorScheme}-${width}.png`),
              fullPage: true,
            });
            // What axe-core checks depends on the colors and on the width, but hardly on both.
            if (colorScheme === "dark" && width === 320) continue;
            expect([name, width, await violations(page)]).toEqual([name, width, []]);
          }
        }
      }
      await page.goto(user);
      await page.getByRole("link", { name: "End all sessions…" }).click();
      await page.getByRole("dialog").waitFor();
      expect(await violations(page)).toEqual([]);
    },
    120_000,
  );

  test("refusals have no faults either", async () => {
    const { url } = await start();
    for (const [role, path] of [
      ["none", "/"],
      ["viewer", "/webapp/end"],
      ["admin", "/nothing"],
    ] as const) {
      const page = await open(role as "viewer", url + path, { bypassCSP: true });
      expect(await violations(page)).toEqual([]);
    }
    complaints = complaints.filter((complaint) => !/40[34]/.test(complaint));
  });
});

import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { browse } from "./support/browse.js";
import { startExample } from "./support/example.js";
import type { Program } from "./support/programs.js";

let demo: Program;

/** A browser that keeps its cookie. */
function visitor() {
  let cookie = "";
  return async (path: string, form?: Record<string, string>) => {
    const answer = await browse(demo.url + path, cookie, form, { "sec-fetch-site": "same-origin" });
    cookie = answer.cookie;
    return answer;
  };
}

beforeAll(async () => {
  // The empty PATH has no redis-server, so the example uses its in-memory replacement.
  demo = await startExample("devices.js", "", { PATH: "" });
});
afterAll(() => demo?.stop());

test("devices.js runs without Redis and signs out a session that another device has ended", async () => {
  const [laptop, phone, admin] = [visitor(), visitor(), visitor()];
  await laptop("/login", { name: "alice" });
  await phone("/login", { name: "alice" });
  expect((await laptop("/")).text).toContain("Where you are signed in");
  expect((await laptop("/devices/end-others", {})).status).toBe(303);
  expect(await phone("/theme", { theme: "dark" })).toMatchObject({ status: 303 });
  expect(await phone("/")).toMatchObject({ status: 200, text: expect.stringContaining("Log in") });

  await admin("/login", { name: "admin" });
  expect((await admin("/admin/logout", { id: "alice" })).status).toBe(303);
  expect((await admin("/admin")).text).toContain("alice is signed out everywhere (1 session)");
  expect(await laptop("/logout", {})).toMatchObject({ status: 303 });
  expect(await laptop("/")).toMatchObject({ status: 200, text: expect.stringContaining("Log in") });
});

test("devices.js shows the dashboard to the admin only, also without Redis", async () => {
  await visitor()("/login", { name: "alice" });
  const { cookie } = await browse(`${demo.url}/login`, "", { name: "admin" });
  const overview = await browse(`${demo.url}/admin/sessions/demo-devices/`, cookie);
  expect(overview).toMatchObject({ status: 200, text: expect.stringMatching(/>alice<.*>admin<|>admin<.*>alice</s) });
  const ref = /session\/([\w-]{27})"/.exec(overview.text)?.[1];
  expect((await browse(`${demo.url}/admin/sessions/demo-devices/session/${ref}`, cookie)).text).toContain(ref);
  const alice = await browse(`${demo.url}/login`, "", { name: "alice" });
  expect((await browse(`${demo.url}/admin/sessions/`, alice.cookie)).status).toBe(403);
  expect((await browse(`${demo.url}/admin/sessions/`, "")).status).toBe(303);
});

test("fastify-middleware.js ends other devices of the same user only", async () => {
  const example = await startExample("fastify-middleware.js", "", { PATH: "" });
  try {
    const cookies = { laptop: "", phone: "", stranger: "" };
    const visit = async (who: keyof typeof cookies, path: string, form?: Record<string, string>) => {
      const answer = await browse(example.url + path, cookies[who], form, { "sec-fetch-site": "same-origin" });
      cookies[who] = answer.cookie;
      return answer.text;
    };
    await visit("laptop", "/login", { name: "alice" });
    await visit("phone", "/login", { name: "alice" });
    await visit("stranger", "/login", { name: "mallory" });
    const [phone = ""] = /\/devices\/[\w-]+\/end/.exec(await visit("laptop", "/")) ?? [];
    await visit("stranger", phone, {});
    expect(await visit("phone", "/")).toContain("Hello, alice");
    await visit("laptop", phone, {});
    expect(await visit("phone", "/")).toContain("Log in");
    expect(await visit("laptop", "/")).toContain("Hello, alice");
  } finally {
    await example.stop();
  }
});

const PAGES = [
  "devices.js",
  "login.js",
  "express-session.js",
  "passport.js",
  "fastify.js",
  "fastify-middleware.js",
  "connect.js",
];

describe.each(PAGES)("%s", (file) => {
  let example: Program;
  beforeAll(async () => {
    example = await startExample(file, "", { PATH: "" });
  });
  afterAll(() => example?.stop());

  const form = { name: "alice", password: "white-rabbit" };

  test("accepts the login only from its own page and forbids scripts and frames", async () => {
    const { headers } = await fetch(example.url);
    expect(headers.get("content-security-policy")).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("cache-control")).toBe("no-store");
    const own = await browse(`${example.url}/login`, "", form, { "sec-fetch-site": "same-origin" });
    expect(own).toMatchObject({ status: expect.toBeOneOf([302, 303]), cookie: expect.stringContaining("=") });
    expect((await browse(example.url, own.cookie)).text).toContain("alice");
    const foreign = await browse(`${example.url}/login`, "", form, { "sec-fetch-site": "cross-site" });
    expect(foreign).toMatchObject({ status: 403, cookie: "", text: expect.stringContaining("came from elsewhere") });
  });

  test("listens on loopback only", async () => {
    const { port } = new URL(example.url);
    const others = Object.values(networkInterfaces())
      .flat()
      .filter((one) => one?.internal === false && one.family === "IPv4");
    for (const one of others) await expect(fetch(`http://${one?.address}:${port}`)).rejects.toThrow("fetch failed");
    expect((await fetch(`http://127.0.0.1:${port}`)).ok).toBe(true);
  });
});

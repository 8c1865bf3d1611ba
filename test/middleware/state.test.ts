import { expect, test } from "vitest";
import type { Handler, Routes } from "./support/servers.js";
import { useSites } from "./support/site.js";

const t = useSites();

const login: Routes = { "/login": (req) => req.rs.create("alice") };

/** Returns the states of a request: at its beginning, and after each step. */
async function states(browser: "signed in" | "signed out" | "gone", ...steps: Handler[]): Promise<unknown> {
  const site = await t.open({
    ...login,
    "/steps": async (req, res) => {
      const seen = [req.rs.state];
      for (const step of steps) {
        await step(req, res);
        seen.push(req.rs.state);
      }
      return seen;
    },
  });
  const visitor = site.browser();
  if (browser !== "signed out") await visitor.post("/login");
  if (browser === "gone") await t.rs.killall({ app: "webapp" });
  return (await visitor.post("/steps")).body;
}

const get: Handler = (req) => req.rs.get();
const set: Handler = (req) => req.rs.set({ a: 1 });
const create: Handler = (req) => req.rs.create("bob");
const rotate: Handler = (req) => req.rs.rotate();
const kill: Handler = (req) => req.rs.kill();
const killAll: Handler = (req) => req.rs.killAll();
const killOthers: Handler = (req) => req.rs.killOthers();

test.each<[string, Parameters<typeof states>[0], Handler[], string[]]>([
  [
    "is none without a session, after any call",
    "signed out",
    [get, set, rotate, kill],
    ["none", "none", "none", "none", "none"],
  ],
  ["is unmodified after reads", "signed in", [get, killOthers], ["unmodified", "unmodified", "unmodified"]],
  ["is modified after set", "signed in", [set, get], ["unmodified", "modified", "modified"]],
  ["is modified after rotate", "signed in", [rotate, get], ["unmodified", "modified", "modified"]],
  ["is modified after create", "signed out", [create, get], ["none", "modified", "modified"]],
  [
    "is modified after a second create",
    "signed in",
    [get, create, get],
    ["unmodified", "unmodified", "modified", "modified"],
  ],
  [
    "is ended after kill, also after further calls",
    "signed in",
    [kill, get, set],
    ["unmodified", "ended", "ended", "ended"],
  ],
  ["is ended after killAll", "signed in", [set, killAll, get], ["unmodified", "modified", "ended", "ended"]],
  [
    "is modified after kill and create",
    "signed in",
    [kill, create, get],
    ["unmodified", "ended", "modified", "modified"],
  ],
  ["is none after get if the session has ended", "gone", [get], ["unmodified", "none"]],
  ["is none after set if the session has ended", "gone", [set], ["unmodified", "none"]],
  ["is none after killAll if the session has ended", "gone", [killAll], ["unmodified", "none"]],
])("state: %s", async (_what, browser, steps, expected) => {
  expect(await states(browser, ...steps)).toEqual(expected);
});

test("get after set returns the written data without asking Redis", async () => {
  const site = await t.open({
    ...login,
    "/steps": async (req) => {
      await req.rs.get();
      await req.rs.set({ a: 1 });
      return req.rs.get();
    },
  });
  const browser = site.browser();
  await browser.post("/login");
  await browser.post("/steps");
  const commands = await t.redis.watch(async () => {
    expect((await browser.post("/steps")).body).toMatchObject({ d: { a: 1 } });
  });
  expect(commands).toHaveLength(2);
});

test("get returns the new session after create and null after kill", async () => {
  const site = await t.open({
    ...login,
    "/steps": async (req) => {
      const before = await req.rs.get();
      await req.rs.create("bob");
      const created = await req.rs.get();
      await req.rs.kill();
      return [before?.id, created?.id, await req.rs.get()];
    },
  });
  const browser = site.browser();
  await browser.post("/login");
  expect((await browser.post("/steps")).body).toEqual(["alice", "bob", null]);
  expect(browser.cookies).toBe("");
});

test("get after rotate returns the session with its new ref", async () => {
  const site = await t.open({
    ...login,
    "/steps": async (req) => {
      await req.rs.get();
      return [await req.rs.rotate(), await req.rs.get()];
    },
  });
  const browser = site.browser();
  await browser.post("/login");
  const [rotated, session] = (await browser.post("/steps")).body as { ref: string; id: string }[];
  expect(session).toMatchObject({ ref: rotated?.ref, id: "alice" });
});

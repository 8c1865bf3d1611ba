import { expect, test } from "vitest";
import type { Handler, Routes } from "./support/servers.js";
import { useSites } from "./support/site.js";

const t = useSites();

const login: Routes = { "/login": (req) => req.rs.create("alice") };

/** The states that a request of a browser goes through: as it comes, and after each step. */
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
    "a browser without a session has none, whatever it asks",
    "signed out",
    [get, set, rotate, kill],
    ["none", "none", "none", "none", "none"],
  ],
  ["reading leaves a session unmodified", "signed in", [get, killOthers], ["unmodified", "unmodified", "unmodified"]],
  ["writing modifies it", "signed in", [set, get], ["unmodified", "modified", "modified"]],
  ["a new token modifies it", "signed in", [rotate, get], ["unmodified", "modified", "modified"]],
  ["signing in modifies it", "signed out", [create, get], ["none", "modified", "modified"]],
  [
    "signing in again modifies it",
    "signed in",
    [get, create, get],
    ["unmodified", "unmodified", "modified", "modified"],
  ],
  ["what is killed has ended, and stays so", "signed in", [kill, get, set], ["unmodified", "ended", "ended", "ended"]],
  ["killAll ends it, too", "signed in", [set, killAll, get], ["unmodified", "modified", "ended", "ended"]],
  [
    "signing in after signing out is a session",
    "signed in",
    [kill, create, get],
    ["unmodified", "ended", "modified", "modified"],
  ],
  ["a session that is gone is none as soon as that is known", "gone", [get], ["unmodified", "none"]],
  ["a write finds that out, too", "gone", [set], ["unmodified", "none"]],
  ["so does killAll", "gone", [killAll], ["unmodified", "none"]],
])("state: %s", async (_what, browser, steps, expected) => {
  expect(await states(browser, ...steps)).toEqual(expected);
});

test("after set, get gives what was written without asking again", async () => {
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

test("after create, get gives the new session, and after kill none", async () => {
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

test("after rotate, get gives the session under its new ref", async () => {
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

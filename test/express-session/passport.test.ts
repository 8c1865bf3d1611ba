import express from "express";
import session from "express-session";
import passport from "passport";
import { Strategy } from "passport-local";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { RedisStore } from "../../src/express-session/index.js";
import { Browser, type Served, serve } from "./support/browser.js";
import { Gate } from "./support/gate.js";
import { done } from "./support/site.js";
import { useStores } from "./support/stores.js";

declare global {
  namespace Express {
    interface User {
      id: string | number;
    }
  }
}

const t = useStores();

let store: RedisStore;
let site: Served;
let gate: Gate;

beforeEach(async () => {
  store = t.store();
  gate = new Gate();
  const auth = new passport.Passport();
  auth.use(
    new Strategy((username, password, verified) => {
      verified(null, password === "open sesame" ? { id: username } : false);
    }),
  );
  auth.serializeUser((user, ready) => ready(null, user.id));
  auth.deserializeUser((id: string | number, ready) => ready(null, { id }));

  const app = express();
  app.use(session({ store, secret: "keyboard cat", resave: true, saveUninitialized: false }));
  app.use(auth.session());
  app.get("/login", auth.authenticate("local"), (req, res) => {
    res.json(req.user);
  });
  app.get("/login-as/:id", async (req, res) => {
    await done((ready) => req.login({ id: Number(req.params.id) }, ready));
    res.json(req.user);
  });
  app.get("/logout", async (req, res) => {
    await done((ready) => req.logout(ready));
    res.json({});
  });
  app.get("/me", (req, res) => {
    res.json(req.user ?? {});
  });
  app.get("/gate", async (req, res) => {
    await gate.pass();
    Object.assign(req.session, { color: "red" });
    res.json(req.user ?? {});
  });
  site = await serve(app);
});

afterEach(() => site.close());

async function logIn(user: string): Promise<Browser> {
  const browser = new Browser(site.url);
  expect((await browser.get(`/login?username=${user}&password=open+sesame`)).body).toEqual({ id: user });
  return browser;
}

test("Passport logs a user in and out", async () => {
  const browser = await logIn("alice");
  expect((await browser.get("/me")).body).toEqual({ id: "alice" });
  const thief = browser.copy();
  await browser.get("/logout");
  expect((await browser.get("/me")).body).toEqual({});
  expect((await thief.get("/me")).body).toEqual({});
  expect(await store.soid("alice")).toEqual({ sessions: [] });
});

test("a wrong password creates no session of a user", async () => {
  const browser = new Browser(site.url);
  expect((await browser.get("/login?username=alice&password=guess")).status).toBe(401);
  expect(await store.activity(60)).toEqual({ activity: 0 });
});

test("login changes the session id, and the old id opens nothing", async () => {
  const browser = await logIn("alice");
  const before = browser.copy();
  await browser.get("/login?username=bob&password=open+sesame");
  expect(browser.sid).not.toBe(before.sid);
  expect((await before.get("/me")).body).toEqual({});
  expect((await store.soid("alice")).sessions).toEqual([]);
  expect((await store.soid("bob")).sessions.map(({ ref }) => ref)).toEqual([`~${browser.sid}`]);
});

test("soid and killsoid find Passport's user", async () => {
  const [phone, laptop] = [await logIn("alice"), await logIn("alice")];
  await logIn("bob");
  expect((await store.soid("alice")).sessions.map(({ ref }) => ref).sort()).toEqual(
    [`~${phone.sid}`, `~${laptop.sid}`].sort(),
  );
  expect(await store.activity(60)).toEqual({ activity: 2 });
  expect(await store.killsoid("alice", { except: laptop.sid })).toEqual({ kill: 1 });
  expect((await phone.get("/me")).body).toEqual({});
  expect((await laptop.get("/me")).body).toEqual({ id: "alice" });
});

test("a user may be a number", async () => {
  const browser = new Browser(site.url);
  await browser.get("/login-as/17");
  expect((await store.soid("17")).sessions).toHaveLength(1);
  expect(await store.killsoid("17")).toEqual({ kill: 1 });
  expect((await browser.get("/me")).body).toEqual({});
});

test("a request under way does not log a user in again who has logged out", async () => {
  for (let round = 0; round < 30; round++) {
    const browser = await logIn("alice");
    const thief = browser.copy();
    const under = browser.copy().get("/gate");
    await gate.waitFor(1);
    if (round % 2 === 0) await browser.get("/logout");
    else await store.killsoid("alice");
    gate.open();
    await under;
    expect((await thief.get("/me")).body).toEqual({});
  }
});

import type { IncomingMessage, ServerResponse } from "node:http";
import { Passport } from "passport";
import { Strategy } from "passport-local";
import { expect, test } from "vitest";
import type { Middleware } from "../../src/middleware/index.js";
import type { Req } from "./support/servers.js";
import { query, useSites } from "./support/site.js";

const t = useSites();

const DAY = 24 * 3600;

/** The user that the strategy returns. */
type WithUser = Req & { user: { id: string } };

test("signs in the user that Passport finds, with a ttl for remember-me", async () => {
  const passport = new Passport();
  passport.use(
    new Strategy({ usernameField: "name" }, (name, password, found) => {
      found(null, password === "open sesame" ? { id: name } : false);
    }),
  );
  // Passport reads the form from the body, which express.urlencoded() parses in a real app.
  const form: Middleware = (req, _res, next) => {
    const body = Object.fromEntries(new URL(`${req.url}`, "http://localhost").searchParams);
    next(void Object.assign(req, { body }));
  };
  const site = await t.open(
    {
      "/login": [
        form,
        passport.authenticate("local", { session: false }) as (req: IncomingMessage, res: ServerResponse) => void,
        (req) => {
          const ttl = query(req, "remember") === "on" ? 30 * DAY : 7200;
          return req.rs.create((req as WithUser).user.id, { ttl });
        },
      ],
      "/me": (req) => req.rs.get(),
    },
    { use: [t.auth({ cookie: { maxAge: 30 * DAY } })] },
  );

  for (const [remember, ttl] of [
    ["on", 30 * DAY],
    ["off", 7200],
  ]) {
    const browser = site.browser();
    const login = await browser.post(`/login?name=alice&password=open+sesame&remember=${remember}`);
    expect(login.cookies).toEqual([expect.stringContaining(`Max-Age=${30 * DAY}`)]);
    expect((await browser.get("/me")).body).toMatchObject({ id: "alice", ttl });
  }
  const stranger = await site.browser().post("/login?name=alice&password=guess");
  expect([stranger.status, stranger.cookies]).toEqual([401, []]);
});

test("signs in a user whose id is a number, as in an SQL table", async () => {
  const passport = new Passport();
  const rows = [{ id: 42, name: "alice" }];
  passport.use(
    new Strategy({ passReqToCallback: false }, (name, _password, found) => {
      found(null, rows.find((row) => row.name === name) ?? false);
    }),
  );
  const form: Middleware = (req, _res, next) => {
    next(void Object.assign(req, { body: { username: query(req as Req, "name"), password: "open sesame" } }));
  };
  const auth = t.auth();
  const site = await t.open(
    {
      "/login": [
        form,
        passport.authenticate("local", { session: false }) as (req: IncomingMessage, res: ServerResponse) => void,
        (req) => req.rs.create((req as Req & { user: { id: number } }).user.id),
      ],
      "/me": async (req) => {
        const session = await req.rs.get();
        return rows.find(({ id }) => id === Number(session?.id));
      },
    },
    { use: [auth] },
  );
  const browser = site.browser();
  await browser.post("/login?name=alice");
  expect((await browser.get("/me")).body).toEqual({ id: 42, name: "alice" });
  expect(await auth.admin.killsoid({ id: 42 })).toEqual({ kill: 1 });
});

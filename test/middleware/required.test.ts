import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type AppOf, sessions } from "../../src/middleware/index.js";
import { type Data, type Handler, type Req, type Routes, SERVER_NAMES } from "./support/servers.js";
import { SECRET, useSites } from "./support/site.js";

const t = useSites();

const login: Routes = { "/login": (req) => req.rs.create("alice") };

describe.each(SERVER_NAMES)("%s", (server) => {
  test("required lets a request with a session pass and answers 401 with WWW-Authenticate otherwise", async () => {
    const auth = t.auth();
    let visits = 0;
    const visit: Handler = (req) => {
      visits++;
      return req.rs.get();
    };
    const browser = (
      await t.open({ ...login, "/private": [auth.required(), visit] }, { server, use: [auth] })
    ).browser();
    const refused = await browser.get("/private");
    expect(refused).toMatchObject({ status: 401, text: "Not signed in\n", cookies: [] });
    expect(refused.headers["www-authenticate"]).toBe('Session realm="webapp"');
    expect(visits).toBe(0);
    await browser.post("/login");
    expect(await browser.get("/private")).toMatchObject({ status: 200, body: { id: "alice" } });
    await t.rs.killall({ app: "webapp" });
    expect(await browser.get("/private")).toMatchObject({ status: 401, cookies: [expect.stringMatching(/^rs=;/)] });
    expect(visits).toBe(1);
  });

  test("required redirects with 303, so that the browser does not post a form again", async () => {
    const auth = t.auth();
    const site = await t.open(
      { ...login, "/private": [auth.required({ redirect: "/login?back=1" }), (req) => req.rs.get()] },
      { server, use: [auth] },
    );
    const browser = site.browser();
    for (const answer of [await browser.get("/private"), await browser.post("/private")]) {
      expect(answer).toMatchObject({ status: 303, text: "", headers: { location: "/login?back=1" } });
    }
    await browser.post("/login");
    expect(await browser.get("/private")).toMatchObject({ status: 200, body: { id: "alice" } });
  });

  test("required redirects to what the function redirect returns, and answers 401 if it returns undefined", async () => {
    const auth = t.auth();
    const seen: string[] = [];
    const redirect = (req: Req): string | undefined => {
      seen.push(`${req.method} ${req.url}`);
      const wantsPage = req.headers.accept === "text/html";
      return wantsPage ? `/login?next=${encodeURIComponent(`${req.url}`)}` : undefined;
    };
    const site = await t.open(
      { ...login, "/private": [auth.required({ redirect }), (req) => req.rs.get()] },
      { server, use: [auth] },
    );
    const browser = site.browser();
    const page = await browser.get("/private?a=1&b=%2F", { accept: "text/html" });
    expect(page).toMatchObject({ status: 303, text: "" });
    // Connect removes the path of the mounted middleware from req.url.
    const path = server === "Connect" ? "/?a=1&b=%2F" : "/private?a=1&b=%2F";
    expect(page.headers.location).toBe(`/login?next=${encodeURIComponent(path)}`);
    expect(await browser.get("/private")).toMatchObject({ status: 401, text: "Not signed in\n" });
    expect(seen).toHaveLength(2);
    await browser.post("/login");
    expect((await browser.get("/private", { accept: "text/html" })).status).toBe(200);
    expect(seen).toHaveLength(2);
  });

  test("required passes an error of the function redirect, and of a bad result, to next", async () => {
    const results: [unknown, string][] = [
      ["/login?next=/a\r\nSet-Cookie: x=1", "redirect must return"],
      ["/로그인", "redirect must return"],
      ["", "redirect must return"],
      [null, "redirect must return"],
      [Promise.resolve("/login"), "redirect must return"],
      [new Error("boom"), "boom"],
    ];
    for (const [result, message] of results) {
      const auth = t.auth();
      const redirect = () => {
        if (result instanceof Error) throw result;
        return result as string;
      };
      const site = await t.open({ "/private": [auth.required({ redirect }), () => "never"] }, { server, use: [auth] });
      const answer = await site.browser().get("/private");
      expect(answer).toMatchObject({ status: 500, text: expect.stringContaining(message), cookies: [] });
      expect(answer.headers).not.toHaveProperty("location");
    }
  });

  test("required and optional attach req.rs themselves, and reuse it if it is there", async () => {
    const auth = t.auth();
    const site = await t.open(
      {
        "/login": [auth.optional, (req) => req.rs.create("alice")],
        "/private": [auth.required(), (req) => req.rs.get()],
        "/public": [auth, auth.optional, auth.required(), auth, (req) => auth.of(req).get()],
      },
      { server, use: [] },
    );
    const browser = site.browser();
    expect((await browser.get("/private")).status).toBe(401);
    await browser.post("/login");
    expect(await browser.get("/private")).toMatchObject({ status: 200, body: { id: "alice", r: 1 } });
    const commands = await t.redis.watch(async () => {
      expect((await browser.get("/public")).body).toMatchObject({ id: "alice", r: 2 });
    });
    expect(commands).toHaveLength(1);
  });

  test("required accepts a session that the same request has created", async () => {
    const auth = t.auth();
    const site = await t.open(
      {
        "/login": [
          (req, _res, next) =>
            void auth
              .of(req)
              .create("alice")
              .then(() => next(), next),
          auth,
          auth.required(),
          (req) => [req.rs.state, auth.of(req) === req.rs],
        ],
      },
      { server, use: [auth] },
    );
    expect((await site.browser().post("/login")).body).toEqual(["modified", true]);
  });

  test("required passes an error to next", async () => {
    const auth = sessions<Data, AppOf>({ rs: t.rs, app: () => Promise.reject(new Error("boom")), secret: SECRET });
    const site = await t.open({ "/private": [auth.required(), () => "never"] }, { server, use: [auth] });
    const token = `${"x".repeat(64)}`;
    const browser = site.browser();
    const { cookies } = await (await t.open(login, { server })).browser().post("/login");
    expect(token).toHaveLength(64);
    expect(await browser.get("/private", { cookie: `${cookies[0]}`.split(";")[0] ?? "" })).toMatchObject({
      status: 500,
    });
  });
});

test("required sends the challenge Bearer with header: true, and no realm if app is a function", async () => {
  const challenge = async (auth: ReturnType<typeof t.auth> | ReturnType<typeof sessions<Data, AppOf>>) => {
    const site = await t.open({ "/private": [auth.required(), () => "never"] }, { use: [] });
    return (await site.browser().get("/private")).headers["www-authenticate"];
  };
  expect(await challenge(t.auth({ header: true, cookie: false }))).toBe('Bearer realm="webapp"');
  expect(await challenge(sessions<Data, AppOf>({ rs: t.rs, app: () => "blue", secret: SECRET }))).toBe("Session");
});

test("required does not change a response that a timeout has sent meanwhile", async () => {
  const auth = t.auth();
  const unhandled: unknown[] = [];
  const note = (error: unknown) => void unhandled.push(error);
  process.on("unhandledRejection", note);
  const site = await t.open(
    {
      "/private": [
        (_req, res, next) => {
          next();
          res.writeHead(503).end("too late");
        },
        auth.required(),
        () => "never",
      ],
    },
    { use: [auth] },
  );
  expect(await site.browser().get("/private")).toMatchObject({ status: 503, text: "too late" });
  await sleep(20);
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

test("of throws for a request that did not go through this middleware", async () => {
  const [auth, other] = [t.auth(), t.auth()];
  const site = await t.open(
    {
      "/of": (req) => {
        try {
          return String(other.of(req));
        } catch (error) {
          return String(error);
        }
      },
    },
    { use: [auth] },
  );
  expect((await site.browser().get("/of")).body).toBe(
    "TypeError: The request did not go through this sessions() middleware: app.use(auth) before the route; in Fastify, auth.of(req.raw)",
  );
});

test("keeps the sessions of two middlewares in one server apart", async () => {
  const shop = t.auth({ app: "shop", cookie: { name: "shop" } });
  const staff = t.auth({ app: "staff", cookie: { name: "staff" } });
  const site = await t.open(
    {
      "/login": async (req) => [await shop.of(req).create("alice"), await staff.of(req).create("bob")],
      "/me": async (req) => [(await shop.of(req).get())?.id, (await staff.of(req).get())?.id, req.rs === staff.of(req)],
    },
    { use: [shop, staff] },
  );
  const browser = site.browser();
  expect((await browser.post("/login")).cookies).toHaveLength(2);
  expect((await browser.get("/me")).body).toEqual(["alice", "bob", true]);
});

test("keeps the session of each middleware, whichever req.rs is", async () => {
  const all = ["one", "two", "three"].map((name) => t.auth({ cookie: { name } }));
  let first: unknown[] = [];
  const site = await t.open(
    {
      "/of": [
        (req, _res, next) => {
          first = all.map((auth) => auth.of(req));
          // As in the recipe for impersonation.
          Object.assign(req, { rs: first[0] });
          next();
        },
        ...all.map((auth) => auth.optional).toReversed(),
        (req) => {
          const sessions = all.map((auth) => auth.of(req));
          return [
            sessions.indexOf(req.rs),
            sessions.map((one, i) => one === first[i]),
            sessions.map(({ state }) => state),
          ];
        },
      ],
      "/login": (req) => all[1]?.of(req).create("alice"),
    },
    { use: all },
  );
  const browser = site.browser();
  await browser.post("/login");
  expect((await browser.get("/of")).body).toEqual([0, [true, true, true], ["none", "unmodified", "none"]]);
});

test("adds one property to a request, because each takes long on a request of Express", async () => {
  const auth = t.auth();
  let before: (string | symbol)[] = [];
  const site = await t.open(
    {
      "/": [
        auth,
        auth.optional,
        (req) =>
          Reflect.ownKeys(req)
            .filter((key) => !before.includes(key))
            .map(String),
      ],
    },
    {
      use: [
        (req, _res, next) => {
          before = [...Reflect.ownKeys(req), "params", "route"];
          next();
        },
      ],
    },
  );
  expect((await site.browser().get("/")).body).toEqual(["rs"]);
});

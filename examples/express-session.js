// A shop on express-session with RedisStore: fill a basket, log in, see where you are logged in, log out everywhere.
// If two requests change different items of the basket at the same time, both changes are kept.
//
//   node examples/express-session.js
//   REDIS_URL=redis://… PORT=8080 node examples/express-session.js
//
// Log in under the same name from a second browser or a private window, and log out everywhere in one of them.
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import Bowser from "bowser";
import express from "express";
import session from "express-session";
import { RedisStore } from "ioredis-sessions/express-session";
import { ago, html, icon, listen, page } from "./support/page.js";
import { openRedis } from "./support/redis.js";
import { secure } from "./support/secure.js";

const TEAS = { sencha: "Sencha", darjeeling: "Darjeeling First Flush", rooibos: "Rooibos" };

const store = new RedisStore({ client: await openRedis(), prefix: "demo-shop:" });

const app = express();
// Trust the X-Forwarded-Proto of a proxy on this machine.
app.set("trust proxy", "loopback");
app.use(secure);
app.use(
  session({
    store,
    // In production: a secret from the environment, the same on all servers.
    secret: process.env.SESSION_SECRET ?? randomBytes(32).toString("hex"),
    name: "shop",
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 7 * 24 * 3600 * 1000, sameSite: "lax", secure: "auto" },
  }),
);
app.use(express.urlencoded({ extended: false }));

// While Redis is down, express-session lets requests pass without a session.
app.use((req, res, next) => {
  if (req.session !== undefined) return next();
  res.status(503).send(messagePage("Back in a moment", "Baskets cannot be reached just now. Nothing in them is lost."));
});

app.get("/", async (req, res) => {
  const { userId } = req.session;
  const { sessions } = userId === undefined ? { sessions: [] } : await store.soid(userId);
  res.send(shopPage(req, sessions));
});

app.post("/basket", (req, res) => {
  const tea = String(req.body?.tea ?? "");
  // Use one key for each tea, because sessions are merged key by key. In one object, the last request would win.
  if (Object.hasOwn(TEAS, tea)) req.session[`tea:${tea}`] = countOf(req.session, tea) + 1;
  res.redirect(303, "/");
});

app.post("/login", async (req, res) => {
  // A real login checks a password here; see passport.js. Cut by characters, not UTF-16 units, so that no emoji is split.
  const name = [...String(req.body?.name ?? "").trim()].slice(0, 40).join("");
  if (name !== "") {
    const basket = Object.entries(req.session).filter(([key]) => key.startsWith("tea:"));
    // A new id prevents session fixation.
    await promisify(req.session.regenerate).call(req.session);
    // The store reads the session's user from `userId`.
    Object.assign(req.session, Object.fromEntries(basket), { userId: name, browser: browserOf(req) });
  }
  res.redirect(303, "/");
});

app.post("/logout", async (req, res) => {
  await promisify(req.session.destroy).call(req.session);
  res.clearCookie("shop").redirect(303, "/");
});

app.post("/logout-others", async (req, res) => {
  if (req.session.userId) await store.killsoid(req.session.userId, { except: req.sessionID });
  res.redirect(303, "/");
});

app.post("/logout-everywhere", async (req, res) => {
  if (req.session.userId) await store.killsoid(req.session.userId);
  res.redirect(303, "/");
});

app.use((error, _req, res, _next) => {
  console.error(error);
  res.status(error.status ?? 500).send(messagePage("This did not work", "Please go back and try again."));
});

listen(app);

function countOf(data, tea) {
  return data[`tea:${tea}`] ?? 0;
}

function browserOf(req) {
  const agent = req.get("User-Agent");
  const { browser, os } = agent ? Bowser.parse(agent) : { browser: {}, os: {} };
  return [browser.name ?? "Some program", os.name].filter(Boolean).join(" on ");
}

// The pages.

function shopPage(req, sessions) {
  const { userId } = req.session;
  return page(
    "Tea shop",
    html`
      <header><div><h1>${userId ? `Welcome, ${userId}` : "Welcome"}</h1><p class="soft">Your basket is kept in the session.</p></div></header>
      <section aria-labelledby="teas">
        <h2 id="teas">Teas</h2>
        <ul class="rows">${Object.entries(TEAS).map(([tea, name]) => teaRow(tea, name, countOf(req.session, tea)))}</ul>
      </section>
      ${userId ? sessionsSection(req, sessions) : loginSection()}`,
    { bar: bar(userId) },
  );
}

function teaRow(tea, name, count) {
  return html`
    <li>
      <div>${name} ${count > 0 && html`<span class="badge">${count} in the basket</span>`}</div>
      <form method="post" action="/basket">
        <button name="tea" value="${tea}">Add<span class="hidden"> ${name} to the basket</span></button>
      </form>
    </li>`;
}

function loginSection() {
  return html`
    <section aria-labelledby="login">
      <h2 id="login">Log in</h2>
      <p class="soft">Any name will do, and there is no password. What is in your basket stays there.</p>
      <form method="post" action="/login">
        <label>Name <input name="name" required maxlength="40" autocomplete="username" autocapitalize="none" spellcheck="false"></label>
        <button class="primary">Log in</button>
      </form>
    </section>`;
}

function sessionsSection(req, sessions) {
  return html`
    <section aria-labelledby="sessions">
      <header>
        <h2 id="sessions">Where you are logged in</h2>
        <div class="actions">
          ${sessions.length > 1 && html`<form method="post" action="/logout-others"><button>Log out the others</button></form>`}
          <form method="post" action="/logout-everywhere"><button class="danger">Log out everywhere</button></form>
        </div>
      </header>
      <ul class="rows">${sessions.map((one) => sessionRow(one, one.ref === store.ref(req.sessionID)))}</ul>
    </section>`;
}

function sessionRow({ d, created, idle }, current) {
  const teas = Object.keys(TEAS).reduce((sum, tea) => sum + countOf(d, tea), 0);
  return html`
    <li>
      <div>
        <h3>${d.browser} ${current && html`<span class="badge">This browser</span>`}</h3>
        <p class="meta">
          <span>Logged in ${ago(Math.max(0, Math.round((Date.now() - created) / 1000)))}</span>
          <span>${current ? "Active now" : `Last seen ${ago(idle)}`}</span>
          <span>${teas === 0 ? "Empty basket" : `${teas} in the basket`}</span>
        </p>
      </div>
    </li>`;
}

function messagePage(title, text) {
  const body = html`<div class="narrow"><section><h1>${title}</h1><p class="soft">${text}</p><a class="button" href="/">To the shop</a></section></div>`;
  return page(title, body, { bar: bar() });
}

function bar(userId) {
  return html`
    <a class="brand" href="/">${icon("logo")} Tea shop</a>
    ${userId && html`<form method="post" action="/logout"><button>Log out</button></form>`}`;
}

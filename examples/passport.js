// Passport with a password login (passport-local) on RedisStore. The store reads the user
// from `req.session.passport.user`, so store.killsoid(name) is all that "log out everywhere" needs.
//
//   node examples/passport.js
//   REDIS_URL=redis://… PORT=8080 node examples/passport.js
//
// The login page shows two users and their passwords. Log in as one of them from two browsers.
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import express from "express";
import session from "express-session";
import { RedisStore } from "ioredis-sessions/express-session";
import passport from "passport";
import { Strategy } from "passport-local";
import { ago, html, icon, listen, page } from "./support/page.js";
import { openRedis } from "./support/redis.js";
import { secure } from "./support/secure.js";

const store = new RedisStore({ client: await openRedis(), prefix: "demo-passport:" });

// The users. A real app has them in a database, with hashes instead of passwords.

const hash = promisify(scrypt);
const DEMO = { alice: "white-rabbit", bob: "yellow-digger" };
const users = new Map(
  await Promise.all(
    Object.entries(DEMO).map(async ([name, password]) => {
      const salt = randomBytes(16);
      return [name, { name, salt, hash: await hash(password, salt, 32) }];
    }),
  ),
);
// Used for users that do not exist, so that the response time does not reveal which users exist.
const nobody = { salt: randomBytes(16), hash: randomBytes(32) };

passport.use(
  new Strategy({ usernameField: "name" }, async (name, password, done) => {
    try {
      const user = users.get(name) ?? nobody;
      const matches = timingSafeEqual(await hash(password, user.salt, 32), user.hash);
      done(null, matches && user !== nobody ? user : false);
    } catch (error) {
      done(error);
    }
  }),
);
passport.serializeUser((user, done) => done(null, user.name));
passport.deserializeUser((name, done) => done(null, users.get(name) ?? false));

const app = express();
// Trust the X-Forwarded-Proto of a proxy on this machine.
app.set("trust proxy", "loopback");
app.use(secure);
app.use(
  session({
    store,
    // In production: a secret from the environment, the same on all servers.
    secret: process.env.SESSION_SECRET ?? randomBytes(32).toString("hex"),
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 24 * 3600 * 1000, sameSite: "lax", secure: "auto" },
  }),
);

// While Redis is down, express-session lets requests pass without a session, and Passport cannot do without one.
app.use((req, res, next) => {
  if (req.session !== undefined) return next();
  res.status(503).send(messagePage("Back in a moment", "Sessions cannot be reached just now. You stay logged in."));
});
app.use(passport.session());
app.use(express.urlencoded({ extended: false }));

app.get("/", async (req, res) => {
  if (!req.isAuthenticated()) return res.send(loginPage());
  req.session.visits = (req.session.visits ?? 0) + 1;
  const { sessions } = await store.soid(req.user.name);
  res.send(accountPage(req, sessions));
});

app.post("/login", (req, res, next) => {
  passport.authenticate("local", (error, user) => {
    if (error) return next(error);
    if (!user) return res.status(401).send(loginPage("Name or password is wrong."));
    // Passport also gives the session a new id.
    req.login(user, (error) => (error ? next(error) : res.redirect(303, "/")));
  })(req, res, next);
});

app.post("/logout", (req, res, next) => {
  req.logout((error) => (error ? next(error) : res.redirect(303, "/")));
});

app.post("/logout-others", async (req, res) => {
  if (req.isAuthenticated()) await store.killsoid(req.user.name, { except: req.sessionID });
  res.redirect(303, "/");
});

app.post("/logout-everywhere", async (req, res) => {
  if (req.isAuthenticated()) await store.killsoid(req.user.name);
  res.redirect(303, "/");
});

app.use((error, _req, res, _next) => {
  console.error(error);
  res.status(error.status ?? 500).send(messagePage("This did not work", "Please go back and try again."));
});

listen(app);

// The pages.

function loginPage(problem) {
  return page(
    "Log in",
    html`
      <div class="narrow">
        ${problem && html`<p class="notice" role="alert">${problem}</p>`}
        <section>
          <h1>Log in</h1>
          <p class="soft">Two users are waiting below.</p>
          <form class="column" method="post" action="/login">
            <label>Name <input name="name" required maxlength="40" autocomplete="username" autocapitalize="none" spellcheck="false" autofocus></label>
            <label>Password <input name="password" type="password" required maxlength="200" autocomplete="current-password"></label>
            <button class="primary">Log in</button>
          </form>
        </section>
        <div class="hints soft">
          <p>This demo has two users:</p>
          <ul>${Object.entries(DEMO).map(([name, password]) => html`<li><strong>${name}</strong>, password <strong>${password}</strong></li>`)}</ul>
        </div>
      </div>`,
    { bar: bar() },
  );
}

function accountPage(req, sessions) {
  return page(
    "Your account",
    html`
      <header><div><h1>Hello, ${req.user.name}</h1><p class="soft">Pages seen in this session: ${req.session.visits}</p></div></header>
      <section aria-labelledby="sessions">
        <header>
          <h2 id="sessions">Where you are logged in</h2>
          <div class="actions">
            ${sessions.length > 1 && html`<form method="post" action="/logout-others"><button>Log out the others</button></form>`}
            <form method="post" action="/logout-everywhere"><button class="danger">Log out everywhere</button></form>
          </div>
        </header>
        <ul class="rows">${sessions.map((one) => sessionRow(one, one.ref === store.ref(req.sessionID)))}</ul>
      </section>`,
    { bar: bar(req.user) },
  );
}

function sessionRow({ created, idle }, current) {
  const since = new Date(created).toISOString();
  return html`
    <li>
      <div>
        <h3>Logged in <time datetime="${since}">${ago(Math.max(0, Math.round((Date.now() - created) / 1000)))}</time>
          ${current && html`<span class="badge">This browser</span>`}</h3>
        <p class="meta"><span>${current ? "Active now" : `Last seen ${ago(idle)}`}</span></p>
      </div>
    </li>`;
}

function messagePage(title, text) {
  const body = html`<div class="narrow"><section><h1>${title}</h1><p class="soft">${text}</p><a class="button" href="/">To the start</a></section></div>`;
  return page(title, body, { bar: bar() });
}

function bar(user) {
  return html`
    <a class="brand" href="/">${icon("logo")} Passport</a>
    ${user && html`<form method="post" action="/logout"><button>Log out</button></form>`}`;
}

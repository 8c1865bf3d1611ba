// Fastify with @fastify/session on RedisStore: log in, keep a note, log out everywhere.
//
//   node examples/fastify.js
//   REDIS_URL=redis://… PORT=8080 node examples/fastify.js
//
// Log in under the same name from a second browser or a private window, and log out everywhere in one of them.
import { randomBytes } from "node:crypto";
import cookie from "@fastify/cookie";
import session from "@fastify/session";
import Fastify from "fastify";
import { RedisStore } from "ioredis-sessions/express-session";
import { ago, html, icon, listen, page } from "./support/page.js";
import { openRedis } from "./support/redis.js";
import { secure } from "./support/secure.js";

const store = new RedisStore({ client: await openRedis(), prefix: "demo-fastify:" });

// Trust the X-Forwarded-Proto of a proxy on this machine.
const app = Fastify({ trustProxy: "loopback" });
app.addHook("onRequest", (request, reply, done) => secure(request.raw, reply.raw, done));
app.register(cookie);
app.register(session, {
  store,
  // In production: a secret from the environment, the same on all servers, at least 32 characters long.
  secret: process.env.SESSION_SECRET ?? randomBytes(32).toString("hex"),
  saveUninitialized: false,
  cookie: { maxAge: 7 * 24 * 3600 * 1000, sameSite: "lax", secure: "auto" },
});
// Parse the bodies of HTML forms.
app.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) => {
  done(null, Object.fromEntries(new URLSearchParams(body)));
});

app.get("/", async (request, reply) => {
  const { userId } = request.session;
  reply.type("text/html");
  if (userId === undefined) return loginPage();
  const { sessions } = await store.soid(userId);
  return notePage(request.session, sessions);
});

app.post("/login", async (request, reply) => {
  // A real login checks a password here. Cut by characters, not UTF-16 units, so that no emoji is split.
  const name = [...String(request.body?.name ?? "").trim()].slice(0, 40).join("");
  if (name !== "") {
    // A new id prevents session fixation.
    await request.session.regenerate();
    // The store reads the session's user from `userId`.
    request.session.userId = name;
  }
  return reply.redirect("/", 303);
});

app.post("/note", async (request, reply) => {
  if (request.session.userId) request.session.note = String(request.body?.note ?? "").slice(0, 200);
  return reply.redirect("/", 303);
});

app.post("/logout", async (request, reply) => {
  await request.session.destroy();
  return reply.redirect("/", 303);
});

app.post("/logout-others", async (request, reply) => {
  const { userId, sessionId } = request.session;
  if (userId) await store.killsoid(userId, { except: sessionId });
  return reply.redirect("/", 303);
});

app.post("/logout-everywhere", async (request, reply) => {
  // @fastify/session saves each session again when its request ends. The store does not revive the ended session.
  if (request.session.userId) await store.killsoid(request.session.userId);
  return reply.redirect("/", 303);
});

app.setErrorHandler((error, _request, reply) => {
  console.error(error);
  // Redis is down: "timeout" or "unavailable".
  const away = error.name === "timeout" || error.name === "unavailable";
  const [title, text] = away
    ? ["Back in a moment", "Sessions cannot be reached just now. You stay logged in."]
    : ["This did not work", "Please go back and try again."];
  reply
    .status(away ? 503 : (error.statusCode ?? 500))
    .type("text/html")
    .send(messagePage(title, text));
});

await app.ready();
listen(app.server);

// The pages.

function loginPage() {
  return page(
    "Log in",
    html`
      <div class="narrow">
        <section>
          <h1>Log in</h1>
          <p class="soft">This is a demo: any name will do, and there is no password.</p>
          <form class="column" method="post" action="/login">
            <label>Name <input name="name" required maxlength="40" autocomplete="username" autocapitalize="none" spellcheck="false" autofocus></label>
            <button class="primary">Log in</button>
          </form>
        </section>
      </div>`,
    { bar: bar() },
  );
}

function notePage(session, sessions) {
  return page(
    "Your note",
    html`
      <header><div><h1>Hello, ${session.userId}</h1><p class="soft">The note is kept in the session, so each browser has its own.</p></div></header>
      <section>
        <form method="post" action="/note">
          <label>Note <input name="note" maxlength="200" value="${session.note}"></label>
          <button class="primary">Save</button>
        </form>
      </section>
      <section aria-labelledby="sessions">
        <header>
          <h2 id="sessions">Where you are logged in</h2>
          <div class="actions">
            ${sessions.length > 1 && html`<form method="post" action="/logout-others"><button>Log out the others</button></form>`}
            <form method="post" action="/logout-everywhere"><button class="danger">Log out everywhere</button></form>
          </div>
        </header>
        <ul class="rows">${sessions.map((one) => sessionRow(one, one.ref === store.ref(session.sessionId)))}</ul>
      </section>`,
    { bar: bar(session.userId) },
  );
}

function sessionRow({ d, created, idle }, current) {
  return html`
    <li>
      <div>
        <h3>${d.note || "No note yet"} ${current && html`<span class="badge">This browser</span>`}</h3>
        <p class="meta">
          <span>Logged in ${ago(Math.max(0, Math.round((Date.now() - created) / 1000)))}</span>
          <span>${current ? "Active now" : `Last seen ${ago(idle)}`}</span>
        </p>
      </div>
    </li>`;
}

function messagePage(title, text) {
  const body = html`<div class="narrow"><section><h1>${title}</h1><p class="soft">${text}</p><a class="button" href="/">To the start</a></section></div>`;
  return page(title, body, { bar: bar() });
}

function bar(userId) {
  return html`
    <a class="brand" href="/">${icon("logo")} Fastify</a>
    ${userId && html`<form method="post" action="/logout"><button>Log out</button></form>`}`;
}

// A login page whose sessions belong to users: log in from two browsers, see both, log out everywhere.
//
//   node examples/login.js
//   REDIS_URL=redis://… PORT=8080 node examples/login.js
import { randomBytes } from "node:crypto";
import express from "express";
import { RedisSessions } from "ioredis-sessions";
import { sessions } from "ioredis-sessions/middleware";
import { ago, html, listen, page } from "./support/page.js";
import { openRedis } from "./support/redis.js";
import { secure } from "./support/secure.js";

const rs = new RedisSessions({ client: await openRedis() });
const auth = sessions({
  rs,
  app: "demo-login",
  // In production: a secret from the environment, the same on all servers.
  secret: process.env.SESSION_SECRET ?? randomBytes(32).toString("hex"),
});

const app = express();
app.use(secure);
app.use(auth);
app.use(express.urlencoded({ extended: false }));

app.get("/", async (req, res) => {
  const session = await req.rs.get();
  if (session === null) return res.send(loginPage());
  res.send(sessionPage(session, await req.rs.devices()));
});

app.post("/login", async (req, res) => {
  const name = [...String(req.body?.name ?? "").trim()].slice(0, 40).join("");
  if (name !== "") await req.rs.create(name, { d: { color: "blue" } });
  res.redirect(303, "/");
});

app.post("/color", async (req, res) => {
  // An empty field removes the key. If the session has just ended, nothing is written.
  await req.rs.set({ color: String(req.body?.color ?? "").slice(0, 40) || null });
  res.redirect(303, "/");
});

app.post("/logout", async (req, res) => {
  await req.rs.kill();
  res.redirect(303, "/");
});

app.post("/logout-everywhere", async (req, res) => {
  await req.rs.killAll();
  res.redirect(303, "/");
});

listen(app);

function loginPage() {
  return page(
    "Log in",
    html`
      <header><div><h1>Log in</h1><p class="soft">Any name will do. Use the same one in a second browser.</p></div></header>
      <section>
        <form method="post" action="/login">
          <label>Name <input name="name" required maxlength="40" autocomplete="username" autofocus></label>
          <button class="primary">Log in</button>
        </form>
      </section>`,
  );
}

function sessionPage(session, devices) {
  return page(
    `Session of ${session.id}`,
    html`
      <header>
        <div><h1>Hello, ${session.id}</h1><p class="soft">Logged in from ${session.ip}</p></div>
        <div class="actions">
          <form method="post" action="/logout"><button>Log out</button></form>
          <form method="post" action="/logout-everywhere"><button class="danger">Log out everywhere</button></form>
        </div>
      </header>
      <section>
        <h2>This session</h2>
        <dl>
          <div><dt>Reads</dt><dd>${session.r}</dd></div>
          <div><dt>Writes</dt><dd>${session.w}</dd></div>
          <div><dt>Idle before</dt><dd>${session.idle} s</dd></div>
          <div><dt>May rest</dt><dd>${session.ttl} s</dd></div>
        </dl>
      </section>
      <section>
        <h2>A value in the session</h2>
        <form method="post" action="/color">
          <label>Favourite color <input name="color" maxlength="40" value="${session.d?.color}"></label>
          <button>Save</button>
        </form>
      </section>
      <section>
        <h2>Where you are logged in</h2>
        <ul class="rows">${devices.map(
          (one) => html`
            <li>
              <div>
                ${one.ip} ${one.current && html`<span class="badge">this browser</span>`}<br>
                <small>since ${new Date(one.created).toLocaleString("en-GB")}, used ${ago(one.idle)}</small>
              </div>
            </li>`,
        )}</ul>
      </section>`,
  );
}

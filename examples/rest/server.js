// A shop on Express whose sessions other servers share: the middleware shows the session in the browser, and the REST
// interface serves it to Python, PHP and the shell. See README.md in this folder.
//
//   API_KEY=$(openssl rand -hex 16) node examples/rest/server.js            (optional: REDIS_URL and PORT)
import { randomBytes } from "node:crypto";
import express from "express";
import { RedisSessions } from "ioredis-sessions";
import { sessions } from "ioredis-sessions/middleware";
import { rest } from "ioredis-sessions/rest";
import { html, listen, page } from "../support/page.js";
import { openRedis } from "../support/redis.js";

const key = process.env.API_KEY ?? randomBytes(16).toString("hex");
if (process.env.API_KEY === undefined) console.log(`export API_KEY=${key}`);

const rs = new RedisSessions({ client: await openRedis() });
const auth = sessions({
  rs,
  app: "demo-shop",
  // In production: a secret from the environment, the same on all servers.
  secret: process.env.SESSION_SECRET ?? randomBytes(32).toString("hex"),
  // For programs: Authorization: Bearer <token>
  header: true,
  // For a browser that signed in on another server: the form below.
  read: (req) => (req.method === "POST" && req.path === "/hand-over" ? req.body?.token : undefined),
});

const app = express();
// In production, use a separate port that only the other servers can reach: npx ioredis-sessions serve
app.use("/sessions", rest({ rs, authorize: [{ key, apps: ["demo-shop"] }] }));

app.use(express.urlencoded({ extended: false }));
app.use(auth);
app.use((_req, res, next) => {
  res.set("Cache-Control", "no-store");
  next();
});

app.get("/", async (req, res) => {
  const session = await req.rs.get();
  res.send(session === null ? signedOutPage() : sessionPage(session));
});

app.get("/me", auth.required(), async (req, res) => {
  res.json(await req.rs.get());
});

app.post("/hand-over", async (req, res) => {
  // Only from our own page: a form on another site could sign a visitor in as somebody else.
  const from = req.get("sec-fetch-site");
  if (from !== undefined && from !== "same-origin") return res.status(403).send("Use the form of this page\n");
  // The browser gets a new token in the cookie, and the typed token stops working. (A malformed token is ignored, and the
  // cookie's session would be used.)
  const moved = req.rs.token === req.body?.token ? await req.rs.rotate({ grace: 0 }) : null;
  if (moved === null) return res.status(401).send(signedOutPage("There is no session with this token."));
  res.redirect(303, "/");
});

app.post("/logout", async (req, res) => {
  await req.rs.kill();
  res.redirect(303, "/");
});

listen(app);

function signedOutPage(complaint) {
  return page(
    "Sign in elsewhere",
    html`
      <header>
        <div>
          <h1>You are signed out</h1>
          <p class="soft">Sign in on the Python side, and take the token with you: <code>python3 client.py login alice</code></p>
        </div>
      </header>
      <section>
        <form method="post" action="/hand-over">
          <label>Token <input name="token" type="password" required minlength="64" maxlength="64" autocomplete="off" autofocus></label>
          <button class="primary">Go on here</button>
        </form>
        ${complaint && html`<p role="alert">${complaint}</p>`}
      </section>`,
  );
}

function sessionPage({ id, ref, ip, r, w, d = {} }) {
  return page(
    `Session of ${id}`,
    html`
      <header>
        <div><h1>Hello, ${id}</h1><p class="soft">Signed in from ${ip}</p></div>
        <form method="post" action="/logout"><button>Sign out</button></form>
      </header>
      <section>
        <h2>The session</h2>
        <dl>
          <div><dt>Reads</dt><dd>${r}</dd></div>
          <div><dt>Writes</dt><dd>${w}</dd></div>
          ${Object.entries(d).map(([name, value]) => html`<div><dt>${name}</dt><dd>${String(value)}</dd></div>`)}
        </dl>
      </section>
      <section>
        <h2>Change it from another server</h2>
        <p>Set a key with the API key and the session's ref, and reload this page:</p>
        <p><code>SESSION=${ref} php client.php set theme=dark</code></p>
      </section>`,
  );
}

// The middleware without Express: a page that counts visits, served by Connect and also by plain node:http. Both use the
// same session, because they share Redis, the secret and the browser's cookie.
//
//   node examples/connect.js            (optional: REDIS_URL and PORT)
//
// Connect listens on PORT or 3000, node:http on the port after it.
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import connect from "connect";
import { RedisSessions } from "ioredis-sessions";
import { sessions } from "ioredis-sessions/middleware";
import { html, listen, page } from "./support/page.js";
import { openRedis } from "./support/redis.js";
import { secure } from "./support/secure.js";

const PORT = Number(process.env.PORT ?? 3000);

const rs = new RedisSessions({ client: await openRedis() });
const auth = sessions({
  rs,
  app: "demo-connect",
  // In production: a secret from the environment, the same on all servers.
  secret: process.env.SESSION_SECRET ?? randomBytes(32).toString("hex"),
});

const app = connect();
app.use(secure);
app.use(auth);
app.use((req, res, next) => {
  // Connect does not await promises, so pass their errors to next.
  serve(req, res, "Connect").catch(next);
});
listen(app, PORT);

const server = createServer((req, res) => {
  secure(req, res, () => auth(req, res, () => serve(req, res, "node:http").catch((error) => fail(res, error))));
});
listen(server, PORT + 1);

async function serve(req, res, by) {
  const route = `${req.method} ${req.url}`;
  if (route === "GET /") {
    const session = await req.rs.get();
    if (session === null) return send(res, 200, loginPage());
    const visits = (session.d?.visits ?? 0) + 1;
    await req.rs.set({ visits });
    return send(res, 200, visitsPage(session.id, visits, by));
  }
  if (route === "POST /login") {
    const name = (await formOf(req)).get("name")?.trim();
    if (name) await req.rs.create([...name].slice(0, 40).join(""));
    return redirect(res);
  }
  if (route === "POST /logout") {
    await req.rs.kill();
    return redirect(res);
  }
  send(res, 404, "There is no such page.");
}

async function formOf(req) {
  let body = "";
  for await (const chunk of req.setEncoding("utf8")) {
    body += chunk;
    if (body.length > 10_000) throw Object.assign(new Error("The form is too large"), { status: 413 });
  }
  return new URLSearchParams(body);
}

function send(res, status, body) {
  res.writeHead(status, { "Content-Type": "text/html; charset=utf-8" }).end(body);
}

function redirect(res) {
  res.writeHead(303, { Location: "/" }).end();
}

function fail(res, error) {
  console.error(error);
  if (res.headersSent) res.destroy();
  else send(res, error.status ?? 500, "This did not work. Please try again.");
}

function loginPage() {
  return page(
    "Log in",
    html`
      <header><div><h1>Log in</h1><p class="soft">Any name will do.</p></div></header>
      <section>
        <form method="post" action="/login">
          <label>Name <input name="name" required maxlength="40" autocomplete="username" autofocus></label>
          <button class="primary">Log in</button>
        </form>
      </section>`,
  );
}

function visitsPage(name, visits, by) {
  const [other, port] = by === "Connect" ? ["node:http", PORT + 1] : ["Connect", PORT];
  return page(
    "Visits",
    html`
      <header>
        <div><h1>Hello, ${name}</h1><p class="soft">Served by ${by}</p></div>
        <form method="post" action="/logout"><button>Log out</button></form>
      </header>
      <section>
        <dl><div><dt>Visits in this session</dt><dd>${visits}</dd></div></dl>
      </section>
      <p>The same session <a href="http://localhost:${port}/">served by ${other}</a></p>`,
  );
}

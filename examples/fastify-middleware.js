// Fastify with the middleware as a plugin, auth.fastify: log in, see your devices, end one of them, log out everywhere.
//
//   node examples/fastify-middleware.js
//   REDIS_URL=redis://… PORT=8080 node examples/fastify-middleware.js
//
// Log in under the same name from a second browser or a private window, and end it from the first.
import { randomBytes } from "node:crypto";
import Fastify from "fastify";
import { RedisSessions } from "ioredis-sessions";
import { sessions } from "ioredis-sessions/middleware";
import { ago, html, listen, page } from "./support/page.js";
import { openRedis } from "./support/redis.js";
import { secure } from "./support/secure.js";

const rs = new RedisSessions({ client: await openRedis() });
const auth = sessions({
  rs,
  app: "demo-fastify-rs",
  // In production: a secret from the environment, the same on all servers.
  secret: process.env.SESSION_SECRET ?? randomBytes(32).toString("hex"),
});

// Trust the X-Forwarded-Proto of a proxy on this machine.
const app = Fastify({ trustProxy: "loopback" });
app.addHook("onRequest", (request, reply, done) => secure(request.raw, reply.raw, done));
app.register(auth.fastify);
// Parse the bodies of HTML forms.
app.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) => {
  done(null, Object.fromEntries(new URLSearchParams(body)));
});

app.get("/", async (request, reply) => {
  const session = await request.rs.get();
  reply.type("text/html");
  return session === null ? loginPage() : devicesPage(session.id, await request.rs.devices());
});

app.post("/login", async (request, reply) => {
  // A real login checks a password here. Cut by characters, not UTF-16 units, so that no emoji is split.
  const name = [...String(request.body?.name ?? "").trim()].slice(0, 40).join("");
  if (name !== "") await request.rs.create(name);
  return reply.redirect("/", 303);
});

// The routes in this plugin need a session.
app.register(async (account) => {
  account.addHook("preHandler", async (request, reply) => {
    if ((await request.rs.get()) === null) return reply.redirect("/", 303);
  });

  account.post("/devices/:ref/end", async (request, reply) => {
    // A ref is not a secret, so check that it belongs to the user.
    const device = (await request.rs.devices()).find(({ ref }) => ref === request.params.ref);
    if (device !== undefined) await auth.admin.kill({ ref: device.ref });
    return reply.redirect("/", 303);
  });

  account.post("/logout", async (request, reply) => {
    await request.rs.kill();
    return reply.redirect("/", 303);
  });

  account.post("/logout-everywhere", async (request, reply) => {
    await request.rs.killAll();
    return reply.redirect("/", 303);
  });
});

await app.ready();
listen(app.server);

// The pages.

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

function devicesPage(name, devices) {
  return page(
    "Your devices",
    html`
      <header>
        <div><h1>Hello, ${name}</h1><p class="soft">Here is where you are logged in.</p></div>
        <div class="actions">
          <form method="post" action="/logout"><button>Log out</button></form>
          <form method="post" action="/logout-everywhere"><button class="danger">Log out everywhere</button></form>
        </div>
      </header>
      <section>
        <ul class="rows">${devices.map(deviceRow)}</ul>
      </section>`,
  );
}

function deviceRow({ ref, device, ip, idle, current }) {
  return html`
    <li>
      <div>
        ${device ?? "An unknown device"} ${current && html`<span class="badge">this browser</span>`}<br>
        <small>${ip}, used ${ago(idle)}</small>
      </div>
      ${!current && html`<form method="post" action="/devices/${ref}/end"><button>Log out</button></form>`}
    </li>`;
}

// An account page: see where you are signed in and where each device was used last, end one device, all others, or all of
// them, and stay signed in if you want to. A page that asks who you are again, after five minutes. And an admin's page: see who
// was active in the last ten minutes, and sign somebody out everywhere. At /admin/sessions is the dashboard, which needs no
// code of your own.
//
//   npm run demo            (or: node examples/devices.js)
//   REDIS_URL=redis://… PORT=8080 node examples/devices.js
//
// Log in, then again from another browser or a private window. Log in as "admin" for the admin's page.
import { randomBytes } from "node:crypto";
import express from "express";
import { RedisSessions } from "ioredis-sessions";
import { dashboard } from "ioredis-sessions/dashboard";
import { sessions } from "ioredis-sessions/middleware";
import { ago, html, icon, listen, page } from "./support/page.js";
import { openRedis } from "./support/redis.js";
import { secure } from "./support/secure.js";

const APP = "demo-devices";
const ADMIN = "admin";
const RECENT = 600; // seconds
const REMEMBERED = 30 * 24 * 3600; // seconds
const CONFIRMED = 300; // seconds
const PAGE = 50; // sessions
const THEMES = { system: "System", light: "Light", dark: "Dark" };

// With events, the dashboard shows sign-ins and ends as they happen.
const rs = new RedisSessions({ client: await openRedis(), events: true });
const auth = sessions({
  rs,
  app: APP,
  // In production: a secret from the environment, the same on all servers.
  secret: process.env.SESSION_SECRET ?? randomBytes(32).toString("hex"),
  // Without use, a session ends after two hours, and its cookie with the browser. See /login for longer ones.
  ttl: 2 * 3600, // seconds
  // A further sign-in ends the user's oldest session.
  maxPerUser: 20,
});

const app = express();
// Trust the visitor's address and the protocol that a proxy on this machine sends.
app.set("trust proxy", "loopback");
app.use(secure);
app.use(auth);
app.use(express.urlencoded({ extended: false }));

// Routes that need no session.

app.get("/", async (req, res) => {
  const hadToken = req.rs.token !== undefined;
  const session = await req.rs.get();
  if (session !== null) return res.send(devicesPage(session, await req.rs.devices(), await takeNotice(req)));
  const isEnded = hadToken || "ended" in req.query;
  res.send(loginPage("everywhere" in req.query ? "on all devices" : isEnded && "on this device"));
});

app.post("/login", async (req, res) => {
  // A real login checks a password here. Cut by characters, not UTF-16 units, so that no emoji is split.
  const name = [...String(req.body?.name ?? "").trim()].slice(0, 40).join("");
  if (name !== "") await req.rs.create(name, req.body.remember ? { maxAge: REMEMBERED } : {});
  res.redirect(303, "/");
});

// All routes below need a session. If it was ended elsewhere, the visitor's next request is refused.

app.use(auth.required({ redirect: "/?ended" }));

app.post("/logout", async (req, res) => {
  await req.rs.kill();
  res.redirect(303, "/");
});

// The codes are shown only to somebody who has signed in, or confirmed who they are, in the last five minutes.
app.get("/codes", auth.required({ within: CONFIRMED, redirect: "/confirm" }), async (req, res) => {
  res.send(codesPage(await req.rs.get()));
});

app.get("/confirm", async (req, res) => {
  res.send(confirmPage(await req.rs.get(), "wrong" in req.query));
});

app.post("/confirm", async (req, res) => {
  const session = await req.rs.get();
  // A real page checks a password or a passkey here.
  if (String(req.body?.name ?? "").trim() !== session.id) return res.redirect(303, "/confirm?wrong");
  await req.rs.confirm();
  res.redirect(303, "/codes");
});

app.post("/devices/end", async (req, res) => {
  // A ref is not a secret, so check that it belongs to the user.
  const device = (await req.rs.devices()).find(({ ref }) => ref === req.body?.ref);
  if (device?.current) await req.rs.kill();
  else {
    if (device) await auth.admin.kill({ ref: device.ref });
    await req.rs.set({ notice: device ? `${nameOf(device)} is signed out.` : "That device was signed out already." });
  }
  res.redirect(303, "/");
});

app.post("/devices/end-others", async (req, res) => {
  const { kill } = await req.rs.killOthers();
  await req.rs.set({ notice: `${count(kill, "other device is", "other devices are")} signed out.` });
  res.redirect(303, "/");
});

app.post("/logout-everywhere", async (req, res) => {
  await req.rs.killAll();
  res.redirect(303, "/?everywhere");
});

app.post("/theme", async (req, res) => {
  // null removes the key.
  const theme = req.body?.theme;
  await req.rs.set({ theme: theme === "light" || theme === "dark" ? theme : null });
  res.redirect(303, "/");
});

app.use("/admin", async (req, res, next) => {
  const session = await req.rs.get();
  if (session.id === ADMIN) return next();
  res.status(403).send(messagePage("Only for the admin", `You are signed in as ${session.id}.`, session));
});

app.get("/admin", async (req, res) => {
  const number = Math.min(Math.max(Number.parseInt(req.query.page, 10) || 1, 1), 1000);
  const [{ activity }, { sessions: found }, session, notice] = await Promise.all([
    auth.admin.activity({ dt: RECENT }),
    // Request one more than is shown, to know whether there is a next page.
    auth.admin.soapp({ dt: RECENT, offset: (number - 1) * PAGE, limit: PAGE + 1 }),
    req.rs.get(),
    takeNotice(req),
  ]);
  res.send(adminPage(session, { users: activity, found, number, notice }));
});

app.post("/admin/logout", async (req, res) => {
  const id = String(req.body?.id ?? "");
  const { kill } = id === "" ? { kill: 0 } : await auth.admin.killsoid({ id });
  // If this ended the admin's own session, nothing is written here, and the next page is the login.
  await req.rs.set({ notice: `${id} is signed out everywhere (${count(kill, "session", "sessions")}).` });
  res.redirect(303, "/admin");
});

// Everybody who comes this far is the admin.
app.use(
  "/admin/sessions",
  dashboard({
    rs,
    apps: [APP],
    authorize: async (req) => {
      const { id, ref } = await req.rs.get();
      return { role: "admin", actor: id, ref };
    },
    data: true,
    onAction: (action) => console.log("Audit log:", JSON.stringify(action)),
  }),
);

app.use(async (req, res) => {
  res.status(404).send(messagePage("There is no such page", "The address may be misspelt.", await req.rs.get()));
});

app.use((error, _req, res, _next) => {
  const status = error.status ?? 500;
  if (status >= 500) console.error(error);
  const [title, text] =
    status === 503
      ? ["Back in a moment", "Sessions cannot be reached just now. Nobody was signed out. Please try again."]
      : ["This did not work", "Please go back and try again."];
  res.status(status).send(messagePage(title, text));
});

listen(app);

/** The message of the previous request. It is shown once. */
async function takeNotice(req) {
  const notice = (await req.rs.get())?.d?.notice;
  if (notice !== undefined) await req.rs.set({ notice: null });
  return notice;
}

// The pages.

/** `where` the visitor was signed out, if so. */
function loginPage(where) {
  return page(
    "Log in",
    html`
      <div class="narrow">
        ${where && html`<p class="notice" role="status">You are signed out ${where}.</p>`}
        <section>
          <h1>Log in</h1>
          <p class="soft">This is a demo: any name will do, and there is no password.</p>
          <form class="column" method="post" action="/login">
            <label>Name <input name="name" required maxlength="40" autocomplete="username" autocapitalize="none" spellcheck="false" autofocus></label>
            <label class="tick"><input type="checkbox" name="remember"> Stay signed in for ${REMEMBERED / 86400} days</label>
            <button class="primary">Log in</button>
          </form>
        </section>
        <div class="hints soft">
          <p>Log in with the same name in another browser, on your phone or in a private window, and you see both devices.</p>
          <p>Log in as <strong>${ADMIN}</strong> to see who is active, and to sign people out.</p>
        </div>
      </div>`,
    { bar: bar() },
  );
}

function devicesPage(session, devices, notice) {
  const sorted = devices.toSorted((a, b) => b.current - a.current || a.idle - b.idle);
  const others = devices.length - 1;
  const theme = session.d?.theme ?? "system";
  return page(
    "Where you are signed in",
    html`
      ${notice && noticeOf(notice)}
      <header>
        <div>
          <h1>Where you are signed in</h1>
          <p class="soft">These devices can use the account <strong>${session.id}</strong>. Sign out any that you do not know.</p>
        </div>
      </header>
      <section aria-labelledby="devices">
        <header>
          <h2 id="devices">${count(devices.length, "device", "devices")}</h2>
          ${
            others > 0 &&
            html`<div class="actions">
              <form method="post" action="/devices/end-others"><button class="danger">Sign out all other devices</button></form>
              <form method="post" action="/logout-everywhere"><button class="danger">Sign out everywhere</button></form>
            </div>`
          }
        </header>
        <ul class="rows">${sorted.map(deviceRow)}</ul>
        ${others === 0 && html`<p class="empty"><strong>You are signed in nowhere else.</strong> Log in as ${session.id} in another browser or a private window, and it shows up here.</p>`}
      </section>
      <section aria-labelledby="codes">
        <header>
          <div>
            <h2 id="codes">Recovery codes</h2>
            <p class="soft">To see them, you confirm who you are if you signed in more than ${CONFIRMED / 60} minutes ago.</p>
          </div>
          <a class="button" href="/codes">Show recovery codes</a>
        </header>
      </section>
      <section aria-labelledby="look">
        <header>
          <div>
            <h2 id="look">Appearance</h2>
            <p class="soft">Kept in the session, so it is for this device only.</p>
          </div>
          <form class="choice" method="post" action="/theme" role="group" aria-labelledby="look">
            ${Object.entries(THEMES).map(([value, text]) => html`<button name="theme" value="${value}" aria-pressed="${value === theme}">${text}</button>`)}
          </form>
        </header>
      </section>`,
    { theme, bar: bar(session, "/") },
  );
}

function deviceRow(device) {
  const name = nameOf(device);
  return html`
    <li class="device">
      ${icon(pictureOf(device))}
      <div>
        <h3>${name} ${device.current && html`<span class="badge">This device</span>`}</h3>
        <p class="meta">
          <span>${placeOf(device)}</span>
          <span>${device.current ? "Active now" : html`Last seen ${time(lastSeen(device))}`}</span>
          <span>Signed in ${time(device.created)}</span>
          ${lastUseOf(device)}
          ${device.maxAge && html`<span>Stays signed in</span>`}
          <span>Signed out if unused until ${dateOf(device.expires)}</span>
        </p>
      </div>
      ${
        !device.current &&
        html`<form method="post" action="/devices/end">
          <input type="hidden" name="ref" value="${device.ref}">
          <button>Sign out<span class="hidden"> ${name}, ${placeOf(device)}, last seen ${ago(device.idle)}</span></button>
        </form>`
      }
    </li>`;
}

function codesPage(session) {
  const codes = Array.from({ length: 4 }, () => randomBytes(5).toString("hex"));
  return page(
    "Recovery codes",
    html`
      <div class="narrow">
        <section>
          <h1>Recovery codes</h1>
          <p class="soft">Each code opens the account <strong>${session.id}</strong> once if you lose your password. (Not in this demo.)</p>
          <ul class="rows">${codes.map((code) => html`<li><code>${code}</code></li>`)}</ul>
          <p class="soft">You confirmed who you are ${time(session.authTime)}.</p>
          <a class="button" href="/">To your devices</a>
        </section>
      </div>`,
    { theme: session.d?.theme, bar: bar(session) },
  );
}

function confirmPage(session, isWrong) {
  return page(
    "Confirm who you are",
    html`
      <div class="narrow">
        ${isWrong && noticeOf("That is not the name of this account.")}
        <section>
          <h1>Confirm who you are</h1>
          <p class="soft">You signed in ${time(session.authTime)}. This is a demo: enter your name again, in place of a password.</p>
          <form class="column" method="post" action="/confirm">
            <label>Name <input name="name" required maxlength="40" autocomplete="username" autocapitalize="none" spellcheck="false"></label>
            <button class="primary">Confirm</button>
          </form>
        </section>
      </div>`,
    { theme: session.d?.theme, bar: bar(session) },
  );
}

function adminPage(session, { users, found, number, notice }) {
  const shown = found.slice(0, PAGE);
  const first = (number - 1) * PAGE + 1;
  const hasNext = found.length > PAGE;
  return page(
    "Active users",
    html`
      ${notice && noticeOf(notice)}
      <header>
        <div>
          <h1>Active users</h1>
          <p class="soft"><strong>${count(users, "user", "users")}</strong> in the last ${RECENT / 60} minutes, most recently active first.</p>
        </div>
        <a class="button" href="/admin">Refresh</a>
      </header>
      <section>
        ${
          shown.length === 0
            ? html`<p class="empty"><strong>Nobody on this page.</strong> <a href="/admin">Back to the first page</a></p>`
            : html`
              <table class="stack">
                <caption class="hidden">Sessions active in the last ${RECENT / 60} minutes</caption>
                <thead><tr><th scope="col">User</th><th scope="col">Device</th><th scope="col">IP address</th><th class="tight" scope="col">Last seen</th><th scope="col"><span class="hidden">Action</span></th></tr></thead>
                <tbody>${shown.map((one) => adminRow(one, session))}</tbody>
              </table>`
        }
      </section>
      ${
        (number > 1 || hasNext) &&
        html`<nav class="pages" aria-label="Pages">
          <span>${number > 1 && html`<a class="button" rel="prev" href="/admin?page=${number - 1}">Previous</a>`}</span>
          <span class="soft">${shown.length > 0 && `Sessions ${first}–${first + shown.length - 1}`}</span>
          <span>${hasNext && html`<a class="button" rel="next" href="/admin?page=${number + 1}">Next</a>`}</span>
        </nav>`
      }`,
    { theme: session.d?.theme, bar: bar(session, "/admin"), wide: true },
  );
}

function adminRow(one, session) {
  return html`
    <tr>
      <th scope="row">${one.id} ${one.ref === session.ref && html`<span class="badge">You</span>`}</th>
      <td>${nameOf(one)}</td>
      <td>${placeOf(one)}</td>
      <td class="tight" data-label="Last seen">${time(lastSeen(one))}</td>
      <td class="tight">
        <form method="post" action="/admin/logout">
          <input type="hidden" name="id" value="${one.id}">
          <button>Sign out<span class="hidden"> ${one.id}</span> everywhere</button>
        </form>
      </td>
    </tr>`;
}

function messagePage(title, text, session) {
  const body = html`
    <div class="narrow">
      <section><h1>${title}</h1><p class="soft">${text}</p><a class="button" href="/">${session ? "To your devices" : "To the start"}</a></section>
    </div>`;
  return page(title, body, { theme: session?.d?.theme, bar: bar(session) });
}

function bar(session, here) {
  const link = (path, text) => html`<a href="${path}" ${here === path && html`aria-current="page"`}>${text}</a>`;
  return html`
    <a class="brand" href="/">${icon("logo")} ioredis-sessions</a>
    ${session?.id === ADMIN && html`<nav aria-label="Main">${link("/", "Your devices")} ${link("/admin", "Active users")} ${link("/admin/sessions/", "Dashboard")}</nav>`}
    ${session && html`<form method="post" action="/logout"><button>Sign out</button></form>`}`;
}

/** The first element of the page. It takes the focus, so that a screen reader reads it. */
function noticeOf(text) {
  return html`<p class="notice" role="status" tabindex="-1" autofocus>${text}</p>`;
}

// Texts.

function nameOf({ device }) {
  return device ?? "Unknown device";
}

function pictureOf({ device = "" }) {
  if (/ on (iOS|Android)/.test(device)) return "phone";
  return / on /.test(device) ? "computer" : "program";
}

function placeOf({ ip }) {
  return ip === "::1" || ip.startsWith("127.") ? `${ip} (this computer)` : ip;
}

/** Where the session was used last, if that is not where its user signed in. */
function lastUseOf({ device, ip, lastDevice = device, lastIp = ip }) {
  if (lastDevice === device && lastIp === ip) return undefined;
  return html`<span>Last used by ${nameOf({ device: lastDevice })} from ${placeOf({ ip: lastIp })}</span>`;
}

function lastSeen({ idle }) {
  return Date.now() - idle * 1000;
}

/** A moment in words, with the exact time as its tooltip. */
function time(ms) {
  return html`<time datetime="${new Date(ms).toISOString()}" title="${dateOf(ms)}">${ago(Math.max(0, Math.round((Date.now() - ms) / 1000)))}</time>`;
}

function dateOf(ms) {
  return `${new Date(ms).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" })} UTC`;
}

function count(n, one, many) {
  return `${n === 0 ? "No" : n} ${n === 1 ? one : many}`;
}

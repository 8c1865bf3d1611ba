// An Express app that uses the middleware and RedisStore of the installed package. Prints the result for the test.
import express from "express";
import session from "express-session";
import { Redis } from "ioredis";
import { RedisSessions } from "ioredis-sessions";
import { RedisStore } from "ioredis-sessions/express-session";
import { sessions } from "ioredis-sessions/middleware";

const client = new Redis(process.env.REDIS_URL);
const rs = new RedisSessions({ client, wipe: 0 });
const secret = "keyboard cat and 19 more characters";
const auth = sessions({ rs, app: "webapp", secret });

const app = express();
app.use(auth);
app.post("/login", async (req, res) => res.json(await req.rs.create("alice", { maxAge: 3600 })));
app.get(
  "/devices",
  auth.required({ redirect: (req) => `/login?next=${encodeURIComponent(req.originalUrl)}` }),
  (req, res) => req.rs.devices().then((devices) => res.json(devices)),
);
app.post("/rotate", async (req, res) => res.json(await req.rs.rotate({ grace: 0 })));
app.post("/logout", async (req, res) => res.json(await req.rs.killAll()));
app.get(
  "/visits",
  session({ name: "sid", store: new RedisStore({ client }), secret, resave: false, saveUninitialized: false }),
  (req, res) => {
    req.session.visits = (req.session.visits ?? 0) + 1;
    res.json(req.session.visits);
  },
);
const server = app.listen(0, "127.0.0.1");
await new Promise((ready) => server.once("listening", ready));

/** A browser that keeps its cookies and does not follow redirects. */
function browser() {
  const jar = new Map();
  return async (method, path) => {
    const cookie = [...jar].map((pair) => pair.join("=")).join("; ");
    const url = `http://127.0.0.1:${server.address().port}${path}`;
    const headers = { cookie, "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0" };
    const response = await fetch(url, { method, headers, redirect: "manual" });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value === "") jar.delete(name);
      else jar.set(name, value);
    }
    const text = await response.text();
    return response.status === 200 ? JSON.parse(text) : [response.status, response.headers.get("location")];
  };
}

const [laptop, phone] = [browser(), browser()];
const refused = await laptop("GET", "/devices?a=1");
await phone("POST", "/login");
await laptop("POST", "/login");
const { token } = await laptop("POST", "/rotate");
const devices = await laptop("GET", "/devices?a=1");
const ended = await laptop("POST", "/logout");
console.log(
  JSON.stringify({
    refused,
    rotated: token.length,
    devices: devices.map(({ id, device, maxAge, current }) => ({ id, device, maxAge, current })),
    ended,
    after: await phone("GET", "/devices"),
    visits: [await laptop("GET", "/visits"), await laptop("GET", "/visits"), await phone("GET", "/visits")],
  }),
);
server.close();
await rs.quit();
client.disconnect();

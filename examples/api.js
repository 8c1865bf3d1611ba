// Bearer tokens for a JSON API, for a mobile app or a command line: the token is in a header, and there is no cookie.
//
//   node examples/api.js            (optional: REDIS_URL and PORT)
//
//   login() { curl -s localhost:3000/login -H 'content-type: application/json' -d "{\"name\":\"$1\"}"; }
//   field() { node -p "JSON.parse(fs.readFileSync(0)).$1"; }
//   TOKEN=$(login alice | field token)
//   curl -s localhost:3000/me -H "Authorization: Bearer $TOKEN"
//   curl -s -X PATCH localhost:3000/me -H "Authorization: Bearer $TOKEN" -H 'content-type: application/json' \
//     -d '{"language":"ko","cart":[{"sku":"A-17","count":2}]}'
//
//   OTHER=$(login alice | field ref)
//   curl -s localhost:3000/me/devices -H "Authorization: Bearer $TOKEN"
//   curl -si -X DELETE localhost:3000/me/devices/$OTHER -H "Authorization: Bearer $TOKEN"
//   curl -si -X POST localhost:3000/logout -H "Authorization: Bearer $TOKEN"
//   curl -si localhost:3000/me -H "Authorization: Bearer $TOKEN"            (now 401)
import express from "express";
import { RedisSessions, SessionError } from "ioredis-sessions";
import { sessions } from "ioredis-sessions/middleware";
import { listen } from "./support/page.js";
import { openRedis } from "./support/redis.js";

const rs = new RedisSessions({ client: await openRedis() });
const auth = sessions({ rs, app: "demo-api", header: true, cookie: false, ttl: 30 * 24 * 3600 });

const app = express();
app.use(auth);
app.use(express.json());
app.use((_req, res, next) => {
  // Responses contain tokens and personal data.
  res.set("Cache-Control", "no-store");
  next();
});

app.post("/login", async (req, res) => {
  // A real login checks a password here.
  res.status(201).json(await req.rs.create(req.body?.name));
});

app.use(auth.required());

app.get("/me", async (req, res) => {
  res.json(profile(await req.rs.get()));
});

app.patch("/me", async (req, res) => {
  // Keys are merged, and null removes a key. The result is null if the session has ended.
  const session = await req.rs.set(req.body);
  if (session === null) return res.status(401).json({ error: "Not signed in" });
  res.json(profile(session));
});

app.get("/me/devices", async (req, res) => {
  const devices = await req.rs.devices();
  res.json({
    devices: devices.map(({ ref, device, ip, idle, created, current }) => ({
      ref,
      device,
      ip,
      idle,
      created: new Date(created),
      current,
    })),
  });
});

app.delete("/me/devices/:ref", async (req, res) => {
  // A ref is not a secret, so check that it belongs to the user.
  const device = (await req.rs.devices()).find(({ ref }) => ref === req.params.ref);
  if (device === undefined) return res.status(404).json({ error: "No such device" });
  await auth.admin.kill({ ref: device.ref });
  res.status(204).end();
});

app.post("/logout", async (req, res) => {
  await req.rs.kill();
  res.status(204).end();
});

app.use((_req, res) => {
  res.status(404).json({ error: "No such resource" });
});

app.use((error, _req, res, _next) => {
  // Invalid input is the client's error. If Redis is down, the error has the status 503.
  const isBadInput = error instanceof SessionError && /^(missing|invalid)/.test(error.name);
  const status = error.status ?? (isBadInput ? 400 : 500);
  if (status >= 500) console.error(error);
  res.status(status).json({ error: status >= 500 ? "Try again later" : error.message });
});

listen(app);

function profile({ id, device, d = {} }) {
  return { id, device, data: d };
}

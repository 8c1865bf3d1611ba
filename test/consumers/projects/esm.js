// An ES module that uses the installed package. Prints the result for the test.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Redis } from "ioredis";
import { RedisSessions, SessionError } from "ioredis-sessions";
import { RedisStore } from "ioredis-sessions/express-session";
import { sessions } from "ioredis-sessions/middleware";

const client = new Redis(process.env.REDIS_URL);
const rs = new RedisSessions({ client, wipe: 0 });
const auth = sessions({ rs, app: "webapp", secret: "keyboard cat and 19 more characters" });

const server = createServer((req, res) => {
  auth(req, res, async () => {
    if (req.url === "/login") await req.rs.create("alice");
    res.end(JSON.stringify(await req.rs.get()));
  });
}).listen(0, "127.0.0.1");
await new Promise((ready) => server.once("listening", ready));
const url = `http://127.0.0.1:${server.address().port}`;
const [cookie] = (await fetch(`${url}/login`)).headers.getSetCookie();
const me = await (await fetch(url, { headers: { cookie } })).json();
server.close();

const store = new RedisStore({ client });
await new Promise((ready) => store.set("sid", { cookie: {}, userId: "bob" }, ready));
const stored = await new Promise((ready) => store.get("sid", (_error, session) => ready(session)));

let refusal;
try {
  new RedisSessions({ client, wip: 5 });
} catch (error) {
  refusal = error instanceof SessionError && error.message;
}

const { exports } = JSON.parse(readFileSync(new URL(import.meta.resolve("ioredis-sessions/package.json")), "utf8"));
const entries = Object.keys(exports).filter((entry) => entry !== "./package.json");
for (const entry of entries) await import(`ioredis-sessions${entry.slice(1)}`);

console.log(JSON.stringify({ me: me.id, stored: stored.userId, refusal, entries }));
await rs.quit();
client.disconnect();

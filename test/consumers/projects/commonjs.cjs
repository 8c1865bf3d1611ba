// A CommonJS program that uses the installed package. Prints the result for the test.
const { Redis } = require("ioredis");
const RedisSessions = require("ioredis-sessions");
const { RedisStore } = require("ioredis-sessions/express-session");
const { sessions } = require("ioredis-sessions/middleware");

async function main() {
  const client = new Redis(process.env.REDIS_URL);
  const rs = new RedisSessions({ client, wipe: 0 });
  const { token } = await rs.create({ app: "webapp", id: "carol", ip: "127.0.0.1" });
  const found = await new Promise((ready) => rs.get({ app: "webapp", token }, (_error, session) => ready(session)));
  const auth = sessions({ rs, app: "webapp", secret: "keyboard cat and 19 more characters" });
  const { sessions: all } = await auth.admin.soid({ id: "carol" });
  const store = new RedisStore({ client });
  // import and require return the same class, with the exports of the ES module as properties.
  const module = await import("ioredis-sessions");
  // Deno resolves import() in a CommonJS file like require, and adds this name.
  const names = Object.keys(module).filter((name) => name !== "module.exports");
  console.log(
    JSON.stringify({
      found: found.id,
      all: all.length,
      store: typeof store.get,
      exports: names.every((name) => RedisSessions[name] === module[name]),
      same: RedisSessions === module.RedisSessions && RedisSessions === RedisSessions.default,
    }),
  );
  await rs.quit();
  client.disconnect();
}

void main();

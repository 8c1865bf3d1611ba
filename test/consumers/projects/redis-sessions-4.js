// A program for redis-sessions 4: promises and `deltaTime`. For this package only the name in the first line was changed.
import RedisSessions from "ioredis-sessions";

const rs = new RedisSessions({ options: { url: process.env.REDIS_URL }, namespace: "program", wipe: 10 });
const app = "shop";
const printed = {};

class Sessions {
  async login(id, ip, data) {
    const { token } = await rs.create({ app, id, ip, ttl: 3600, d: data });
    return token;
  }

  async user(token) {
    const session = await rs.get({ app, token });
    return session?.id ?? null;
  }

  logout(token) {
    return rs.kill({ app, token });
  }
}

const sessions = new Sessions();
printed.ping = await rs.ping();
await rs.killall({ app });
const laptop = await sessions.login("alice", "10.0.0.1", { theme: "dark" });
const phone = await sessions.login("alice", "10.0.0.2");
const invitation = await rs.create({ app, id: "bob", ip: "10.0.0.3", ttl: 60, no_resave: true });

printed.users = [await sessions.user(laptop), await sessions.user("x".repeat(64))];
printed.set = (await rs.set({ app, token: laptop, d: { theme: null, cart: 3 } })).d;
printed.nobody = await rs.set({ app, token: "x".repeat(64), d: { cart: 3 } });
printed.noResave = (await rs.get({ app, token: invitation.token })).no_resave;
printed.activity = await rs.activity({ app, deltaTime: 600 });
printed.soapp = (await rs.soapp({ app, deltaTime: 600 })).sessions.length;
printed.soid = (await rs.soid({ app, id: "alice" })).sessions
  .map(({ ip, d }) => ({ ip, d }))
  .sort((a, b) => (a.ip < b.ip ? -1 : 1));
printed.logout = [await sessions.logout(phone), await sessions.logout(phone)];
printed.killsoid = await rs.killsoid({ app, id: "alice" });
printed.left = await sessions.user(laptop);
printed.killall = await rs.killall({ app });

printed.errors = [];
for (const call of [
  () => rs.create({ app: "a b", id: "alice", ip: "10.0.0.1" }),
  () => rs.get({ app, token: "short" }),
  () => rs.activity({ app, deltaTime: 5 }),
  () => rs.create({ app, id: "alice", ip: "10.0.0.1", d: { list: [] } }),
]) {
  try {
    await call();
  } catch (error) {
    printed.errors.push(`${error.name}: ${error.message}`);
  }
}
await rs.quit();
console.log(JSON.stringify(printed));

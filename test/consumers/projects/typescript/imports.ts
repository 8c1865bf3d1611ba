// Loads every entry point with import. Compiled with each module setting, and the output is run.
import { Redis } from "ioredis";
import Default, { type Created, RedisSessions, type Session, SessionError } from "ioredis-sessions";
import { type DashboardOptions, dashboard } from "ioredis-sessions/dashboard";
import { RedisStore, type RedisStoreOptions } from "ioredis-sessions/express-session";
import { type Device, sessions } from "ioredis-sessions/middleware";
import { rest } from "ioredis-sessions/rest";

declare module "ioredis-sessions/middleware" {
  interface SessionData {
    theme?: "light" | "dark";
  }
}

const client = new Redis(`${process.env.REDIS_URL}`);
const rs = new RedisSessions<{ n: number }>({ client, wipe: 0 });
const auth = sessions({ rs, app: "webapp", secret: "keyboard cat keyboard cat keyboard cat" });
const options: RedisStoreOptions = { client };
const store: RedisStore = new RedisStore(options);
const dashboardOptions: DashboardOptions = { rs, apps: ["webapp"], authorize: () => ({ role: "viewer", actor: 1 }) };
const router = rest({ rs, authorize: false });
const same: typeof RedisSessions = Default;

export function compiledOnly(req: Express.Request): Promise<unknown> {
  // @ts-expect-error SessionData does not allow this theme
  void req.rs.set({ theme: "pink" });
  return req.rs.set({ theme: "dark" });
}

async function main(): Promise<void> {
  const created: Created = await rs.create({ app: "webapp", id: "alice", ip: "::1", d: { n: 1 } });
  // @ts-expect-error the type of the data does not allow the value
  await rs.set({ app: "webapp", token: created.token, d: { n: "2" } }).catch(() => {});
  const found: Session<{ n: number }> | null = await rs.get({ app: "webapp", token: created.token });
  const listed: Device<object>[] | { ref: string }[] = (await auth.admin.soid({ id: "alice" })).sessions;
  const error: unknown = await rs.get({ app: "?", token: created.token }).catch((reason: unknown) => reason);
  console.log(
    JSON.stringify({
      id: found?.id,
      listed: listed.length,
      code: error instanceof SessionError ? error.code : error,
      same: same === RedisSessions,
      store: store.listenerCount("connect"),
      rest: typeof router,
      dashboard: typeof dashboard(dashboardOptions),
    }),
  );
  await rs.killall({ app: "webapp" });
  client.disconnect();
}

void main();

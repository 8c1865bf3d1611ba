// A strict TypeScript program that uses the installed package. It is compiled, not run.
import type { IncomingMessage } from "node:http";
import express from "express";
import session from "express-session";
import { Redis } from "ioredis";
import DefaultExport, { type Created, RedisSessions, type Session, SessionError } from "ioredis-sessions";
import { RedisStore, type RedisStoreOptions } from "ioredis-sessions/express-session";
import { type Device, type SessionData, type SessionsOptions, sessions } from "ioredis-sessions/middleware";

declare module "ioredis-sessions/middleware" {
  interface SessionData {
    cart: { sku: string; count: number }[];
    theme?: "light" | "dark";
  }
}

declare module "express-session" {
  // Many projects declare a key as required, although a session may not have it.
  interface SessionData {
    account: { id: string };
  }
}

const client = new Redis();
const rs = new RedisSessions<SessionData>({ client, nested: true });
// undefined, as from a missing environment variable, selects the default.
new RedisSessions({ client, namespace: process.env.NAMESPACE });
const ttl: number | undefined = process.env.TTL === undefined ? undefined : Number(process.env.TTL);
await rs.create({ app: "webapp", id: "alice", ip: "::1", ttl, device: process.env.DEVICE });
sessions({ rs, app: "webapp", secret: "s", maxPerUser: ttl, cookie: { maxAge: ttl, domain: process.env.DOMAIN } });
// @ts-expect-error undefined would also end the session to keep
await rs.killsoid({ app: "webapp", id: "alice", except: process.env.REF });
const same: typeof RedisSessions = DefaultExport;

const auth = sessions({ rs, app: "webapp", secret: ["new", "old"], maxPerUser: 3, overflow: "reject" });
const tenants = sessions({ rs, app: async (req: IncomingMessage) => req.headers.host, secret: "s" });
const hosts = sessions({ rs, app: (req) => req.headers.host, secret: process.env.SESSION_SECRET });

// The request type of Express is accepted.
sessions({
  rs,
  app: (req: express.Request) => req.hostname,
  secret: "s",
  read: (req: express.Request) => req.get("x-token"),
  write: (res: express.Response, token) => void res.set("x-token", token ?? ""),
  device: (req: express.Request) => req.get("user-agent"),
});

const app = express();
app.use(auth);
app.get("/", auth.required({ redirect: "/login" }), async (req, res) => {
  const mine: Session<SessionData> | null = await req.rs.get();
  const count: number | undefined = mine?.d?.cart?.[0]?.count;
  await req.rs.set({ theme: "dark", cart: null });
  // @ts-expect-error the data does not have the key
  await req.rs.set({ colour: "dark" });
  // @ts-expect-error the type does not allow this theme
  await req.rs.set({ theme: "pink" });
  const devices: Device<SessionData>[] = await auth.of(req).devices();
  const created: Created = await req.rs.create("alice", { ttl: 60, d: { theme: "light" } });
  res.json({ count, devices, created, token: req.rs.token satisfies string | undefined });
});

await auth.admin.killsoid({ id: "alice" });
await tenants.admin.killsoid({ app: "blue", id: "alice" });
await hosts.admin.killsoid({ app: "blue", id: "alice" });
// @ts-expect-error each call must name an app if there are several
await tenants.admin.killsoid({ id: "alice" });

const options: SessionsOptions<SessionData, string> = {
  rs,
  app: "webapp",
  secret: "s",
  cookie: { sameSite: "strict" },
};
sessions(options);

const storeOptions: RedisStoreOptions = { client, userId: (data) => data.account?.id ?? null };
const store = new RedisStore(storeOptions);
// @ts-expect-error an anonymous session has no user id
new RedisStore({ client, userId: (data) => data.account.id });
new RedisStore({ client, userId: (data: session.SessionData) => data.account.id });
const [phone] = (await store.soid("alice")).sessions;
console.log(phone?.d.account?.id, phone?.d.cookie.expires);
// @ts-expect-error a listed session may be anonymous
console.log(phone?.d.account.id);
app.use(session({ store, secret: "s", resave: false, saveUninitialized: false }));

rs.get({ app: "webapp", token: "t" }, (error, found) => {
  if (error instanceof SessionError && error.name === "timeout") console.log(error.code, error.status, found?.id, same);
});

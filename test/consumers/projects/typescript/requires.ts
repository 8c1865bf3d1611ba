// Loads every entry point with import = require, if the output is CommonJS.
import ioredis = require("ioredis");
import RedisSessions = require("ioredis-sessions");
import admin = require("ioredis-sessions/dashboard");
import express = require("ioredis-sessions/express-session");
import middleware = require("ioredis-sessions/middleware");
import api = require("ioredis-sessions/rest");

const client = new ioredis.Redis(`${process.env.REDIS_URL}`);
const rs = new RedisSessions<{ n: number }>({ client, wipe: 0 });
const one: RedisSessions<{ n: number }> = rs;
const other: RedisSessions.RedisSessions = new RedisSessions.default({ client, wipe: 0 });
const auth = middleware.sessions({ rs, app: "webapp", secret: "keyboard cat keyboard cat keyboard cat" });
const store: express.RedisStore = new express.RedisStore({ client });
const router = api.rest({ rs, authorize: false });
const dashboard = admin.dashboard({ rs, apps: ["webapp"], authorize: () => ({ role: "viewer", actor: 1 }) });

class Own extends RedisSessions {}

rs.create({ app: "webapp", id: "alice", ip: "::1", d: { n: 1 } }, (_failed, created?: RedisSessions.Created) => {
  // @ts-expect-error the type of the data does not allow the value
  rs.set({ app: "webapp", token: `${created?.token}`, d: { n: "2" } }, () => {});
  rs.get({ app: "webapp", token: `${created?.token}` }, (_error, found) => {
    rs.get({ app: "?", token: "" }, (error: RedisSessions.SessionError | null) => {
      auth.admin.soid({ id: "alice" }).then(({ sessions }) => {
        console.log(
          JSON.stringify({
            id: found?.id,
            listed: sessions.length,
            code: error instanceof RedisSessions.SessionError ? error.code : error,
            same: one.constructor === other.constructor && new Own({ client, wipe: 0 }) instanceof RedisSessions,
            store: store.listenerCount("connect"),
            rest: typeof router,
            dashboard: typeof dashboard,
          }),
        );
        rs.killall({ app: "webapp" }, () => client.disconnect());
      });
    });
  });
});

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { load } from "../lib/load.js";
import { cost, median, takeTurns } from "../lib/measure.js";
import {
  CONNECT_REDIS,
  CONNECT_REDIS_8,
  CONNECT_REDIS_ON_5,
  CONNECT_REDIS_SESSIONS,
  EMPTY_STORE,
  MEMORY_STORE,
  MIDDLEWARE,
  MIDDLEWARE_CACHED,
  MIDDLEWARE_ON_NODE_REDIS,
  NO_SESSION,
  STORE,
  STORE_ON_NODE_REDIS,
} from "../lib/names.js";
import { startRedis } from "../lib/redis.js";

/** The work and its rows: ours, the peer, the goal. */
const WORKS = [
  {
    work: "read",
    path: "/read",
    rows: [
      [STORE, CONNECT_REDIS, 1.15],
      [STORE, CONNECT_REDIS_ON_5, 1.0],
      [STORE, CONNECT_REDIS_8],
      [STORE_ON_NODE_REDIS, CONNECT_REDIS],
      [MIDDLEWARE, CONNECT_REDIS, 1.4],
      [MIDDLEWARE, NO_SESSION, 0.9],
      [MIDDLEWARE, MEMORY_STORE],
      [MIDDLEWARE, CONNECT_REDIS_SESSIONS],
      [MIDDLEWARE_ON_NODE_REDIS, CONNECT_REDIS],
      [MIDDLEWARE_CACHED, NO_SESSION, 0.95],
      [MIDDLEWARE_CACHED, MIDDLEWARE],
    ],
  },
  {
    work: "write",
    path: "/write",
    rows: [
      [STORE, CONNECT_REDIS, 1.05],
      [STORE, CONNECT_REDIS_ON_5, 0.9],
      [STORE_ON_NODE_REDIS, CONNECT_REDIS],
      [MIDDLEWARE, CONNECT_REDIS, 1.3],
      [MIDDLEWARE_ON_NODE_REDIS, CONNECT_REDIS],
    ],
  },
];

const CEILINGS = {
  [STORE]: EMPTY_STORE,
  [STORE_ON_NODE_REDIS]: EMPTY_STORE,
  [MIDDLEWARE]: NO_SESSION,
  [MIDDLEWARE_ON_NODE_REDIS]: NO_SESSION,
  [MIDDLEWARE_CACHED]: NO_SESSION,
};

/** How many commands a client may send for a request, on average. */
const MOST_COMMANDS = { [MIDDLEWARE_CACHED]: 0.05 };

/** As many sessions as connections. */
const CONNECTIONS = 50;

/** Express 5 with sessions under load. The servers and the load generator are separate processes. */
export async function http({ rounds, quick, report }) {
  const redis = await startRedis();
  const servers = {};
  for (const { work, path, rows } of WORKS) {
    const subjects = {};
    for (const kind of rows.flatMap(([ours, peer]) => [ours, peer, CEILINGS[ours]])) {
      servers[kind] ??= await startServer(kind, redis);
      subjects[kind] = () => costOfRequests(redis, servers[kind], path);
    }
    const turns = await takeTurns(quick ? 2 : rounds + 1, subjects);
    report.figures(`HTTP, ${work}`, turns);
    for (const [ours, peer, goal] of rows) {
      report.faster({ work: `${work}: ${ours}`, turns, ours, peers: { [peer]: goal }, ceiling: CEILINGS[ours] });
    }
    for (const [kind, most] of Object.entries(MOST_COMMANDS)) {
      if (turns[kind] === undefined) continue;
      const value = median(turns[kind].map(({ commands }) => commands));
      report.limit({ work: `${work}: ${kind}`, unit: "commands a request", value, most });
    }
  }
  for (const { child } of Object.values(servers)) {
    child.disconnect();
    await once(child, "exit");
  }
  redis.stop();
}

/** What a request costs under load. Its time is the inverse of the requests a second. */
async function costOfRequests(redis, { port, cookies, cpu }, path) {
  const url = `http://127.0.0.1:${port}${path}`;
  let rate;
  const work = async () => {
    const result = await load(url, { connections: CONNECTIONS, seconds: 1, cookies });
    rate = result.rate;
    return result.requests;
  };
  return { ...(await cost(redis, work, cpu)), time: 1e6 / rate };
}

async function startServer(kind, redis) {
  const child = fork(fileURLToPath(new URL("../lib/server.js", import.meta.url)), [kind, `${redis.port}`], {
    env: { ...process.env, NODE_ENV: "production" },
  });
  const [{ port }] = await once(child, "message");
  const cookies = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const response = await fetch(`http://127.0.0.1:${port}/login`, { method: "POST" });
    if (!response.ok) throw new Error(`${kind}: no login: ${await response.text()}`);
    cookies.push(response.headers.get("set-cookie")?.split(";")[0] ?? "none=none");
  }
  // Make sure that the measured requests have a session.
  const answer = await fetch(`http://127.0.0.1:${port}/read`, { headers: { cookie: cookies[0] } });
  if ((await answer.json()).theme !== "dark") throw new Error(`${kind}: no session`);
  const cpu = async () => {
    child.send("cpu");
    const [answer] = await once(child, "message");
    return answer.cpu;
  };
  return { port, cookies, cpu, child };
}

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { load } from "../lib/load.js";
import { median, takeTurns } from "../lib/measure.js";
import { startRedis } from "../lib/redis.js";

const CONNECTIONS = 50;
const EXPRESS_SESSION = ["RedisStore", "connect-redis 10", "connect-redis 8"];
const READERS = ["no session", "native", ...EXPRESS_SESSION, "MemoryStore", "connect-redis-sessions 2"];
const WRITERS = ["no session", "native", ...EXPRESS_SESSION];

/** Express 5 with sessions under load. The servers and the load generator are separate processes. */
export async function http({ rounds, quick, report }) {
  const redis = await startRedis();
  const servers = {};
  for (const kind of READERS) servers[kind] = await startServer(kind, redis);

  const reading = await loadAll("/read", READERS);
  const read = "session read, 50 connections";
  report.throughput({
    work: `HTTP, ${read}: native middleware`,
    figures: pick(reading, ["native", "connect-redis 10", "no session", "connect-redis-sessions 2", "MemoryStore"]),
    peers: {
      "connect-redis 10": 1.45,
      "no session": 0.85,
      "connect-redis-sessions 2": undefined,
      MemoryStore: undefined,
    },
  });
  report.throughput({
    work: `HTTP, ${read}: RedisStore`,
    figures: pick(reading, [...EXPRESS_SESSION, "MemoryStore"]),
    peers: { "connect-redis 10": 1.12, "connect-redis 8": 1.4, MemoryStore: undefined },
  });

  const writing = await loadAll("/write", WRITERS, { "native, get before set": ["native", "/get-and-write"] });
  const written = "one key written";
  report.throughput({
    work: `HTTP, ${written}: native middleware`,
    figures: pick(writing, ["native", "connect-redis 10", "no session", "connect-redis 8"]),
    peers: { "connect-redis 10": 1.6, "no session": undefined, "connect-redis 8": undefined },
  });
  report.throughput({
    work: `HTTP, ${written}: native middleware, get before set`,
    figures: pick(writing, ["native, get before set", "connect-redis 10"]),
    peers: { "connect-redis 10": undefined },
  });
  report.throughput({
    work: `HTTP, ${written}: RedisStore`,
    figures: pick(writing, EXPRESS_SESSION),
    peers: { "connect-redis 10": 1.1, "connect-redis 8": undefined },
  });

  for (const { child } of Object.values(servers)) {
    child.disconnect();
    await once(child, "exit");
  }
  redis.stop();

  /** Measures the requests per second, and the processor time of each request in the server and in Redis. */
  async function loadAll(path, kinds, more = {}) {
    const subjects = { ...Object.fromEntries(kinds.map((kind) => [kind, [kind, path]])), ...more };
    const costs = Object.fromEntries(Object.keys(subjects).map((name) => [name, { server: [], redis: [] }]));
    const subject = ([name, [kind, path]]) => {
      const { cookies, port, cpu } = servers[kind];
      return [
        name,
        async () => {
          const before = [await cpu(), await redis.cpu()];
          const url = `http://127.0.0.1:${port}${path}`;
          const { requests, rate } = await load(url, { connections: CONNECTIONS, seconds: 1, cookies });
          costs[name].server.push(((await cpu()) - before[0]) / requests);
          costs[name].redis.push(((await redis.cpu()) - before[1]) / requests);
          return rate;
        },
      ];
    };
    const figures = await takeTurns(quick ? 2 : rounds + 4, Object.fromEntries(Object.entries(subjects).map(subject)));
    report.processorTime({
      work: path,
      costs: Object.fromEntries(
        Object.entries(costs).map(([name, { server, redis }]) => [
          name,
          { server: median(server.slice(1)), redis: median(redis.slice(1)) },
        ]),
      ),
    });
    return figures;
  }
}

/** Uses as many sessions as connections. */
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
  return { child, port, cookies, cpu };
}

function pick(object, names) {
  return Object.fromEntries(names.map((name) => [name, object[name]]));
}

import { errorMonitor, once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { Cluster, Redis, type RedisOptions } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { RedisSessions, type SessionError } from "../../src/index.js";
import { TLS } from "../middleware/support/tls.js";
import { startCluster } from "../support/cluster.js";
import { freePort, startRedis, type TestRedis } from "../support/redis.js";

const app = "webapp";
const PASSWORD = "S3cret";
const host = "127.0.0.1";

let redis: TestRedis;
let locked: TestRedis;
/** TLS on a second port. */
let open: { port: number; server: TestRedis };
/** The same, for clients with a certificate. */
let closed: { port: number; server: TestRedis };
let dir: string;
let rs: RedisSessions;
const clients: { disconnect(): void; stream?: Redis["stream"] }[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "ioredis-sessions-tls-"));
  writeFileSync(join(dir, "cert"), TLS.cert);
  writeFileSync(join(dir, "key"), TLS.key);
  open = await startTls("no");
  closed = await startTls("yes");
  redis = open.server;
  locked = await startRedis();
  const admin = locked.client();
  await admin.config("SET", "requirepass", PASSWORD);
});

/** Starts a Redis that also listens for TLS. */
async function startTls(authClients: "yes" | "no"): Promise<{ port: number; server: TestRedis }> {
  const port = await freePort();
  const [cert, key] = [join(dir, "cert"), join(dir, "key")];
  const files = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert];
  const server = await startRedis(["--tls-port", `${port}`, ...files, "--tls-auth-clients", authClients]);
  return { port, server };
}

beforeEach(() => {
  // ioredis prints the errors of a client without a listener.
  vi.spyOn(console, "error").mockImplementation(() => {});
});

afterEach(async () => {
  await rs.quit();
  for (const client of clients.splice(0)) {
    // After a failed TLS handshake, Node may emit an error for which ioredis does not listen.
    client.stream?.on("error", () => {});
    client.disconnect();
  }
  vi.restoreAllMocks();
});

afterAll(async () => {
  await Promise.all([open.server.stop(), closed.server.stop(), locked.stop()]);
  rmSync(dir, { recursive: true, force: true });
});

function opened<Opened extends Redis | Cluster>(client: Opened): Opened {
  clients.push(client);
  return client;
}

function connect(options: RedisOptions): Redis {
  return opened(new Redis({ ...options, replyMapping: "legacy" }));
}

function listening<Opened extends Redis | Cluster>(client: Opened): Opened {
  client.on("error", () => {});
  return client;
}

/** The ways in which an engine gets its client. */
const ways: Record<string, (options: RedisOptions) => RedisSessions> = {
  "the engine's own connection": ({ host, port, ...options }) =>
    new RedisSessions({ host, port, options, ...settings }),
  "a client with a listener": (options) => new RedisSessions({ client: listening(connect(options)), ...settings }),
  "a client without a listener": (options) => new RedisSessions({ client: connect(options), ...settings }),
  "a client of ioredis 5": (options) =>
    new RedisSessions({ client: opened(new Redis5(options as object) as unknown as Redis), ...settings }),
};
const settings = { wipe: 0, timeout: 100 };

async function failure(): Promise<SessionError> {
  return rs.soid({ app, id: "alice" }).then(
    () => Promise.reject(new Error("The call succeeded")),
    (error) => error,
  );
}

/** The error of the first call that knows the cause. A name server, or a TLS handshake, may take longer than the call. */
async function explained(cause = /./): Promise<SessionError> {
  for (const end = Date.now() + 15_000; ; ) {
    const error = await failure();
    if (cause.test((error.cause as Error | undefined)?.message ?? "") || Date.now() > end) return error;
  }
}

const situations: Record<string, { options: () => RedisOptions; cause: RegExp; hint: RegExp }> = {
  "no server": {
    options: () => ({ host, port: 1 }),
    cause: /^connect ECONNREFUSED 127\.0\.0\.1:1$/,
    hint: /check that Redis runs, and check host and port/,
  },
  "an unknown host": {
    options: () => ({ host: "redis.invalid" }),
    cause: /^getaddrinfo (ENOTFOUND|EAI_AGAIN) redis\.invalid$/,
    hint: /check host and the DNS/,
  },
  "a URL with a password in the place of the host": {
    options: () => ({ host: `redis://eve:${PASSWORD}@redis.invalid` }),
    cause: /^getaddrinfo (ENOTFOUND|EAI_AGAIN) redis:\/\/\*\*\*@redis\.invalid$/,
    hint: /check host and the DNS/,
  },
  "a Unix socket that does not exist": {
    options: () => ({ path: join(dir, "nothing") }),
    cause: /^connect ENOENT .*nothing$/,
    hint: /check the path/,
  },
  "TLS on a plain port": {
    options: () => ({ host, port: redis.port, tls: {} }),
    cause: /^The TLS handshake with 127\.0\.0\.1:\d+ was not completed$/,
    hint: /without TLS.*redis:\/\/ instead of rediss:\/\//,
  },
  "TLS on a plain port, until ioredis gives up the attempt": {
    options: () => ({ host, port: redis.port, tls: {}, connectTimeout: 100, retryStrategy: () => 60_000 }),
    cause: /^connect ETIMEDOUT$|^The TLS handshake with 127\.0\.0\.1:\d+ was not completed$/,
    hint: /without TLS/,
  },
  "a plain connection to a TLS port": {
    options: () => ({ host, port: open.port }),
    cause: /^(read|write) (ECONNRESET|EPIPE)$|^The connection to 127\.0\.0\.1:\d+ was closed before it was ready$/,
    hint: /check the port: it may need TLS \(rediss:\/\//,
  },
  "a certificate that nobody signed": {
    options: () => ({ host, port: open.port, tls: {} }),
    cause: /^self-signed certificate$/,
    hint: /pass its ca in tls/,
  },
  "no certificate of the client": {
    options: () => ({ host, port: closed.port, tls: { ca: TLS.cert } }),
    cause: /certificate required|(read|write) (ECONNRESET|EPIPE)/,
    hint: /cert and key in tls/,
  },
  "a wrong password": {
    options: () => ({ host, port: locked.port, password: "wr0ng" }),
    cause: /^WRONGPASS /,
    hint: /check username and password/,
  },
  "no password": {
    options: () => ({ host, port: locked.port }),
    cause: /^NOAUTH /,
    hint: /Redis requires a password/,
  },
  "no password, by a client without ready check": {
    options: () => ({ host, port: locked.port, enableReadyCheck: false }),
    cause: /^NOAUTH /,
    hint: /Redis requires a password/,
  },
};

describe.each(Object.keys(ways))("%s", (way) => {
  // The engine refuses such a host before it connects.
  const isRefused = (name: string) =>
    name === "a URL with a password in the place of the host" && way === "the engine's own connection";
  test.each(Object.keys(situations).filter((name) => !isRefused(name)))("explains %s", async (name) => {
    const { options, cause, hint } = situations[name] as (typeof situations)[string];
    rs = (ways[way] as (typeof ways)[string])(options());
    const errors = [await explained(cause), await failure()];
    for (const error of errors) {
      expect(error).toMatchObject({
        cause: { message: expect.stringMatching(cause) },
        hint: expect.stringMatching(hint),
      });
      expect(error.name).toMatch(/^(timeout|unavailable|redisError)$/);
      expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/S3cret|wr0ng/);
    }
  });
});

test("no error ends the process when the engine quits during a TLS handshake that fails", async () => {
  const uncaught: unknown[] = [];
  const note = (error: unknown) => void uncaught.push(error);
  process.on("uncaughtException", note);
  try {
    for (let i = 0; i < 60; i++) {
      rs = new RedisSessions({ host, port: open.port, options: { tls: {} }, wipe: 0, timeout: 20 + i });
      await failure();
      await rs.quit();
    }
    await sleep(100);
    expect(uncaught).toEqual([]);
  } finally {
    process.off("uncaughtException", note);
  }
});

test("explains the attempts that failed after the connection was lost, and forgets them when it is back", async () => {
  const own = await startRedis();
  rs = new RedisSessions({ client: listening(opened(new Redis(own.port))), ...settings });
  await rs.ping();
  await own.kill();
  expect(await explained()).toMatchObject({ cause: { message: `connect ECONNREFUSED 127.0.0.1:${own.port}` } });
  await own.start();
  await vi.waitFor(() => rs.ping(), { timeout: 10_000 });
  own.pause();
  expect((await failure()).cause).toBeUndefined();
  own.resume();
  await own.stop();
});

test("explains a wrong password while ioredis waits for the next attempt", async () => {
  rs = new RedisSessions({
    client: opened(new Redis({ port: locked.port, host, password: "wr0ng", retryStrategy: () => 60_000 })),
    ...settings,
  });
  expect(await explained()).toMatchObject({
    name: "redisError",
    cause: { message: expect.stringContaining("WRONGPASS") },
  });
  expect(await explained()).toMatchObject({
    name: "timeout",
    cause: { message: expect.stringContaining("WRONGPASS") },
  });
});

describe("a server that is not Redis", () => {
  let server: Server;

  async function serve(answer: (socket: Socket) => void): Promise<RedisOptions> {
    server = createServer(answer).listen(0, host);
    await once(server, "listening");
    return { host, port: (server.address() as { port: number }).port };
  }

  afterEach(() => server.close());

  test.each(Object.keys(ways))("answers in another protocol: %s", async (way) => {
    const options = await serve((socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    rs = (ways[way] as (typeof ways)[string])(options);
    // Without a listener, ioredis 5 tells nobody what it read.
    const hint = /check host, port and tls|check the port/;
    expect(await explained()).toMatchObject({ hint: expect.stringMatching(hint) });
  });

  test.each(Object.keys(ways))("closes the connection: %s", async (way) => {
    const options = await serve((socket) => void socket.resume().end());
    rs = (ways[way] as (typeof ways)[string])(options);
    expect(await explained()).toMatchObject({
      cause: {
        message: expect.stringMatching(/was closed before it was ready$|ECONNRESET|EPIPE/),
      },
      hint: expect.stringMatching(/may need TLS/),
    });
  });
});

describe("a Cluster", () => {
  function clusterOn(port: number): RedisSessions {
    return new RedisSessions({ client: opened(new Cluster([{ host, port }])), ...settings });
  }

  test("names the node that cannot be reached", async () => {
    rs = clusterOn(1);
    expect(await explained()).toMatchObject({
      cause: { message: "127.0.0.1:1: Connection is closed." },
      hint: expect.stringMatching(/check the startup nodes/),
    });
  });

  test("says that the server is not part of a Cluster", async () => {
    rs = clusterOn(redis.port);
    expect(await explained()).toMatchObject({
      cause: { message: expect.stringMatching(/^127\.0\.0\.1:\d+: ERR This instance has cluster support disabled/) },
      hint: expect.stringMatching(/new Redis/),
    });
  });

  test("says that a password is missing", async () => {
    rs = clusterOn(locked.port);
    expect(await explained()).toMatchObject({ hint: expect.stringMatching(/Redis requires a password/) });
  });
});

test("explains MOVED of a Cluster's node to a client of one server", async () => {
  const cluster = await startCluster();
  try {
    const owner = Math.floor((await cluster.slotOf(`rs:{${app}}:users`)) / 5462);
    const other = cluster.nodes[(owner + 1) % 3] as TestRedis;
    rs = new RedisSessions({ client: other.client(), wipe: 0 });
    expect(await explained()).toMatchObject({
      message: expect.stringMatching(/^Redis answered with an error: MOVED \d+ 127\.0\.0\.1:\d+$/),
      hint: expect.stringMatching(/node of a Cluster.*new Cluster/),
    });
  } finally {
    await cluster.stop();
  }
});

describe("the user's own handling of errors stays as it was", () => {
  test("ioredis prints the errors of a client without a listener", async () => {
    rs = new RedisSessions({ client: opened(new Redis({ host, port: 1 })), ...settings });
    await failure();
    expect(inspect(vi.mocked(console.error).mock.calls[0])).toMatch(/Unhandled error event.*ECONNREFUSED/s);
  });

  test("a listener gets each error once, and nothing is printed", async () => {
    const seen: Error[] = [];
    const client = opened(new Redis({ host, port: 1, retryStrategy: () => 60_000 }));
    client.on("error", (error) => seen.push(error));
    rs = new RedisSessions({ client, ...settings });
    await failure();
    expect(seen.map(({ message }) => message)).toEqual(["connect ECONNREFUSED 127.0.0.1:1"]);
    expect(console.error).not.toHaveBeenCalled();
  });

  test("a client has one set of our listeners, however many engines use it", async () => {
    const client = listening(opened(new Redis({ host, port: 1 })));
    const engines = Array.from({ length: 20 }, () => new RedisSessions({ client, ...settings }));
    rs = engines[0] as RedisSessions;
    await sleep(0);
    for (const event of ["close", "ready", "node error"]) expect(client.listenerCount(event)).toBeLessThan(5);
    await Promise.all(engines.slice(1).map((one) => one.quit()));
    expect((await failure()).cause).toBeDefined();
    await rs.quit();
    // ioredis has listeners for "close" and "ready", too.
    for (const event of ["node error", errorMonitor]) expect(client.listenerCount(event)).toBe(0);
  });
});

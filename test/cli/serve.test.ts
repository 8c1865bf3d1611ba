import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { freePort } from "../support/redis.js";
import { ask, run, serve, statusOf, useCommand } from "./support/command.js";

const KEY = "key-0123456789abcdef";
const SHOP = "shop-0123456789abcdef";
const READER = "read-0123456789abcdef";

const t = useEngine();
const { keyFile } = useCommand();

describe("serve", () => {
  test("serves the interface and prints its URL and that no key is needed", async () => {
    const { url, said, stop } = await serve(["--redis", t.redis.url]);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const { ref, token } = await t.create();
    expect(await (await ask(`${url}/webapp/get/${token}`)).json()).toMatchObject({ ref, id: "alice" });
    expect(await (await ask(`${url}/ping`)).text()).toBe("PONG");
    expect(said()).toContain("No API key is needed");
    expect((await stop()).code).toBe(0);
  });

  test("serves apps with any number of shards", async () => {
    const { url, stop } = await serve(["--redis", t.redis.url]);
    for (const shards of [1, 4, 16] as const) {
      const rs = new RedisSessions({ client: t.db, wipe: 0, shards });
      const app = `app-${shards}`;
      const { token, ref } = await rs.create({ app, id: "alice", ip: "::1" });
      expect(await (await ask(`${url}/${app}/get/${token}`)).json()).toMatchObject({ ref });
      expect(await statusOf(`${url}/${app}/create/bob?ip=::1`, undefined, "PUT")).toBe(200);
      expect((await rs.soid({ app, id: "bob" })).sessions).toHaveLength(1);
      expect(await (await ask(`${url}/${app}/soapp?dt=60`)).json()).toMatchObject({ sessions: { length: 2 } });
    }
    expect(await statusOf(`${url}/readyz`)).toBe(200);
    await stop();
  });

  test("reads port, Redis, namespace and keys from the variables of rest-sessions", async () => {
    const port = `${await freePort()}`;
    const { url, said, stop } = await serve([], {
      RS_PORT: port,
      RS_REDISHOST: "127.0.0.1",
      RS_REDISPORT: `${t.redis.port}`,
      RS_NAMESPACE: "drs",
      RS_API_KEYS: ` ${KEY},, ${READER} `,
    });
    expect(url).toBe(`http://127.0.0.1:${port}`);
    expect(await statusOf(`${url}/webapp/create/alice?ip=::1`, undefined, "PUT")).toBe(401);
    expect(await statusOf(`${url}/webapp/create/alice?ip=::1`, READER, "PUT")).toBe(200);
    expect(await t.db.exists("drs:{webapp}:active")).toBe(1);
    expect(await statusOf(`${url}/webapp/activity?dt=60`, KEY)).toBe(200);
    expect(said()).not.toContain("No API key is needed");
    expect((await stop("SIGINT")).code).toBe(0);
  });

  test.each([
    [[], 400],
    [["--nested"], 200],
  ])("with the flags %j answers nested data with %i", async (flags, status) => {
    const { url } = await serve(["--redis", t.redis.url, ...flags]);
    const { token } = await t.create();
    const body = JSON.stringify({ cart: ["tea"] });
    const headers = { "Content-Type": "application/json" };
    expect((await fetch(`${url}/webapp/set/${token}`, { method: "POST", headers, body })).status).toBe(status);
  });

  test("prefers command-line options to variables", async () => {
    const port = `${await freePort()}`;
    const args = ["--port", port, "--redis", t.redis.url, "--namespace", "mine", "--key-file", keyFile(KEY)];
    const env = { RS_PORT: "1", RS_REDISPORT: "1", RS_NAMESPACE: "theirs", RS_API_KEYS: SHOP };
    const { url } = await serve(args, env);
    expect(url).toBe(`http://127.0.0.1:${port}`);
    expect(await statusOf(`${url}/webapp/create/alice?ip=::1`, KEY, "PUT")).toBe(200);
    expect(await statusOf(`${url}/webapp/create/alice?ip=::1`, SHOP, "PUT")).toBe(401);
    expect(await t.db.exists("mine:{webapp}:active")).toBe(1);
  });

  describe("without a key", () => {
    test.each(["0.0.0.0", "::", "example.com", "127.0.0.1.example.com", "10.0.0.1"])(
      "refuses to listen on %s",
      async (host) => {
        const { code, out, err } = await run(["serve", "--port", "0", "--host", host, "--redis", t.redis.url]);
        expect({ code, out }).toEqual({ code: 2, out: "" });
        expect(err).toContain(`does not listen on ${host}`);
        expect(err).toContain("--key-file or RS_API_KEYS");
      },
    );

    test("listens on other names of the loopback address", async () => {
      const { url } = await serve(["--host", "127.0.0.2", "--redis", t.redis.url]);
      expect(await statusOf(`${url}/ping`)).toBe(200);
    });
  });

  test("without a key answers only requests for a loopback host name", async () => {
    const { url } = await serve(["--redis", t.redis.url]);
    const statusFor = async (Host: string, path: string) => {
      const sent = request(url + path, { headers: { Host } }).end();
      const [response] = (await once(sent, "response")) as [IncomingMessage];
      response.resume();
      return response.statusCode;
    };
    for (const host of ["localhost:8101", "127.0.0.1", "[::1]:8101"]) expect(await statusFor(host, "/ping")).toBe(200);
    for (const host of ["evil.example", "127.0.0.1.evil.example:8101"]) {
      expect(await statusFor(host, "/ping")).toBe(403);
      expect(await statusFor(host, "/healthz")).toBe(200);
    }
    const keyed = await serve(["--redis", t.redis.url], { RS_API_KEYS: KEY });
    const sent = request(`${keyed.url}/ping`, { headers: { Host: "sessions.example" } }).end();
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    response.resume();
    expect(response.statusCode).toBe(200);
  });

  test("without a key refuses every request of another site", async () => {
    const { url } = await serve(["--redis", t.redis.url]);
    const { host } = new URL(url);
    const answerTo = async (headers: Record<string, string>, method = "GET", path = "/ping") => {
      const sent = request(url + path, { method, headers }).end();
      const [response] = (await once(sent, "response")) as [IncomingMessage];
      return [response.statusCode, await text(response)] as const;
    };
    for (const headers of [
      { origin: "https://evil.example" },
      { origin: "null" },
      { origin: "http://localhost:1" },
      { origin: "evil" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      { "sec-fetch-site": "same-site", origin: `http://${host}` },
    ] as Record<string, string>[]) {
      const [status, body] = await answerTo(headers);
      expect([headers, status]).toEqual([headers, 403]);
      expect(JSON.parse(body)).toMatchObject({ code: "ERR_FORBIDDEN", detail: expect.stringContaining("--key-file") });
      expect((await answerTo(headers, "POST", "/webapp/set/-"))[0]).toBe(403);
    }
    for (const headers of [
      {},
      { origin: `http://${host}` },
      { "sec-fetch-site": "same-origin" },
      { "sec-fetch-site": "none" },
    ]) {
      expect((await answerTo(headers))[0]).toBe(200);
    }
    const keyed = await serve(["--redis", t.redis.url], { RS_API_KEYS: KEY });
    const sent = request(`${keyed.url}/ping`, { headers: { origin: "https://ours.example" } }).end();
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    response.resume();
    expect(response.statusCode).toBe(200);
  });

  test("with a key listens on other addresses than loopback", async () => {
    const { url } = await serve(["--host", "0.0.0.0", "--redis", t.redis.url], { RS_API_KEYS: KEY });
    const local = url.replace("0.0.0.0", "127.0.0.1");
    expect(await statusOf(`${local}/webapp/activity?dt=60`)).toBe(401);
    expect(await statusOf(`${local}/webapp/activity?dt=60`, KEY)).toBe(200);
  });

  test("exits with 1 and suggests another port if the port is in use", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const { code, out, err } = await run(["serve", "--port", `${port}`, "--redis", t.redis.url]);
    other.close();
    expect({ code, out }).toEqual({ code: 1, out: "" });
    const remedy = `Choose another port: --port ${port < 65_000 ? port + 10 : port - 10}`;
    expect(err).toMatch(new RegExp(`^ioredis-sessions: .*in use.*:${port}\\. ${remedy}\n$`));
  });

  test("sends Cache-Control: no-store with every answer, also outside the interface", async () => {
    const { url } = await serve(["--redis", t.redis.url]);
    const asked = [["/healthz"], ["/readyz"], ["/ping"], ["/nothing"], ["/ping", "evil.example"]];
    for (const [path, Host = "localhost"] of asked) {
      const sent = request(url + path, { headers: { Host } }).end();
      const [response] = (await once(sent, "response")) as [IncomingMessage];
      response.resume();
      expect([path, response.headers["cache-control"]]).toEqual([path, "no-store"]);
    }
  });

  describe("health", () => {
    test("requires no key for /healthz and /readyz, and answers 503 on /readyz while Redis is down", async () => {
      const { url } = await serve(["--redis", t.redis.url], { RS_API_KEYS: KEY });
      const healthz = await ask(`${url}/healthz`);
      expect([healthz.status, await healthz.text()]).toEqual([200, "live\n"]);
      const readyz = await ask(`${url}/readyz`);
      expect([readyz.status, await readyz.text()]).toEqual([200, "ready\n"]);

      await t.redis.kill();
      try {
        expect(await statusOf(`${url}/healthz`)).toBe(200);
        const began = performance.now();
        const away = await ask(`${url}/readyz`);
        expect([away.status, await away.text()]).toEqual([503, "not ready\n"]);
        // The engine's timeout is 2000 ms.
        expect(performance.now() - began).toBeLessThan(1000);
        expect(await statusOf(`${url}/webapp/activity?dt=60`, KEY)).toBe(503);
      } finally {
        await t.redis.start();
      }
      await expect.poll(() => statusOf(`${url}/readyz`), { timeout: 10_000, interval: 100 }).toBe(200);
    });

    test("starts without Redis and becomes ready when Redis starts", async () => {
      await t.redis.kill();
      const { url, stop } = await serve(["--redis", t.redis.url]);
      expect(await statusOf(`${url}/healthz`)).toBe(200);
      expect(await statusOf(`${url}/readyz`)).toBe(503);
      await t.redis.start();
      await expect.poll(() => statusOf(`${url}/readyz`), { timeout: 10_000, interval: 100 }).toBe(200);
      expect((await stop()).code).toBe(0);
    });

    test("exits while Redis hangs", async () => {
      const { url, stop } = await serve(["--redis", t.redis.url]);
      expect(await statusOf(`${url}/readyz`)).toBe(200);
      t.redis.pause();
      try {
        expect((await stop()).code).toBe(0);
      } finally {
        t.redis.resume();
      }
    });
  });
});

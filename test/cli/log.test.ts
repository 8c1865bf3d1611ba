import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";
import { ask, serve, useCommand } from "./support/command.js";

const KEY = "key-0123456789abcdef";
/** The id of a RedisStore session. It is a secret of the browser. */
const STORE_ID = "abcdefghijklmnopqrstuvwxyz_12345";

const t = useEngine();
useCommand();

describe("the log of serve", () => {
  test("has a line for each request without tokens and keys", async () => {
    const { url, stop } = await serve(["--redis", t.redis.url], { RS_API_KEYS: KEY });
    const { token, ref } = await t.create();
    const encoded = [...token]
      .map((letter, i) => (i % 9 === 0 ? `%${letter.charCodeAt(0).toString(16)}` : letter))
      .join("");
    await ask(`${url}/webapp/get/${token}`, KEY);
    await ask(`${url}/webapp/get/${encoded}`, KEY);
    await ask(`${url}/webapp/get/${token}x`, KEY);
    await ask(`${url}/webapp/nothing/${token}?dt=1&token=${token}`, KEY);
    await ask(`${url}/webapp/get/${ref}`, "wrong-wrong-wrong-wrong");
    await ask(`${url}/webapp/GET/${STORE_ID}`, KEY);
    await ask(`${url}/sessions/webapp/kill/${STORE_ID}`, KEY);
    await ask(`${url}/webapp/get/~${STORE_ID}`, KEY);
    await ask(`${url}/webapp/get/%7E${STORE_ID}`, KEY);
    await fetch(`${url}/webapp/rotate/${token}/?grace=0`, { method: "POST", headers: { "X-API-Key": KEY } });
    await fetch(`${url}/webapp/create/bob?ip=203.0.113.7`, { method: "PUT", headers: { "X-API-Key": KEY } });
    await fetch(`${url}/webapp/killsoid/bob?except=${token}`, { method: "DELETE", headers: { "X-API-Key": KEY } });
    await fetch(`${url}/webapp/get/-`, { headers: { "X-API-Key": KEY, "X-Session-Token": token } });
    const { out, err } = await stop();
    const lines = out.split("\n").filter((line) => /^\d{4}-/.test(line));
    expect(lines.map((line) => line.replace(/^\S+ | \S+ ms$/g, ""))).toEqual([
      "GET /webapp/get/<token> 200",
      "GET /webapp/get/<token> 200",
      "GET /webapp/get/<token> 400",
      "GET /webapp/nothing/<token> 404",
      "GET /webapp/get/<token> 401",
      "GET /webapp/GET/<token> 200",
      "GET /sessions/webapp/kill/<token> 404",
      "GET /webapp/get/<token> 200",
      "GET /webapp/get/<token> 200",
      "POST /webapp/rotate/<token> 200",
      "PUT /webapp/create/bob 200",
      "DELETE /webapp/killsoid/bob 200",
      "GET /webapp/get/- 200",
    ]);
    for (const secret of [token, token.slice(10, 30), encoded, KEY, "wrong-wrong", STORE_ID, "203.0.113.7"])
      expect(out + err).not.toContain(secret);
  });

  test("reports when and why the connection to Redis is lost, and when it is restored", async () => {
    const url = `redis://127.0.0.1:${t.redis.port}`;
    await t.redis.kill();
    const { said, stop } = await serve(["--redis", url]);
    const remedy = "no server listens there: check that Redis runs, and check host and port";
    const away = `Redis is not connected: connect ECONNREFUSED 127.0.0.1:${t.redis.port} (${remedy})\n`;
    await expect.poll(said).toContain(away);
    await t.redis.start();
    await expect.poll(said, { timeout: 10_000 }).toContain("Redis is connected\n");
    await t.redis.kill();
    await expect.poll(() => said().split("Redis is not connected").length).toBe(3);
    await t.redis.start();
    await expect.poll(() => said().split("Redis is connected").length, { timeout: 10_000 }).toBe(3);
    await stop();
    expect(said().split("Redis is not connected").length).toBe(3);
  });

  test("contains the cause of a 500", async () => {
    await t.db.set("rs:{webapp}:users", "no zset");
    const { url, stop } = await serve(["--redis", t.redis.url]);
    expect((await ask(`${url}/webapp/activity?dt=60`)).status).toBe(500);
    const { err } = await stop();
    expect(err).toMatch(
      /^\S+ GET \/webapp\/activity failed: redisError: Redis answered with an error: WRONGTYPE .*\n$/,
    );
  });

  test("has a line for a request whose client disconnected", async () => {
    const { url, said } = await serve(["--redis", t.redis.url]);
    t.redis.pause();
    const sent = request(`${url}/webapp/killall`, { method: "DELETE" }).on("error", () => {});
    sent.end();
    await sleep(100);
    sent.destroy();
    await expect.poll(said).toMatch(/ DELETE \/webapp\/killall unanswered \d+\.\d ms\n/);
    t.redis.resume();
  });

  test("contains no requests if RS_LOGLEVEL is none", async () => {
    const { url, stop } = await serve(["--redis", t.redis.url], { RS_LOGLEVEL: "none" });
    expect((await ask(`${url}/webapp/activity?dt=60`)).status).toBe(200);
    expect((await stop()).out.replace(/http\S+/, "…")).toBe(
      "ioredis-sessions serves on …\nNo API key is needed: everybody who can reach this address may use all sessions.\n" +
        "Finishing the requests in flight\n",
    );
  });
});

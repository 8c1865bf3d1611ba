import { Agent, get as httpGet, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";
import { serve, useCommand } from "./support/command.js";

const CLIENTS = 50;

const t = useEngine();
useCommand();
// A failed test may have left Redis paused.
afterEach(() => t.redis.resume());

interface Reply {
  status: number | undefined;
  closes: boolean;
  body: string;
}

/** Sends a request on a keep-alive connection. */
function ask(url: string, agent: Agent): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = httpGet(url, { agent }, (answer: IncomingMessage) => {
      let body = "";
      answer.setEncoding("utf8").on("data", (part) => {
        body += part;
      });
      answer.on("error", reject);
      answer.on("end", () =>
        resolve({ status: answer.statusCode, closes: answer.headers.connection === "close", body }),
      );
    });
    sent.on("error", reject);
  });
}

describe("serve", () => {
  test("exits with 0 within 10 s of SIGTERM under load and loses no answer", async () => {
    const { token, ref } = await t.create();
    const { url, stop } = await serve(["--redis", t.redis.url], { RS_LOGLEVEL: "none" });
    const lost: unknown[] = [];
    let answered = 0;
    let told = 0;

    /** Sends requests until the server closes the connection. A new connection would be refused. */
    async function load(): Promise<void> {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      try {
        for (;;) {
          const { status, closes, body } = await ask(`${url}/webapp/get/${token}`, agent);
          if (status !== 200 || JSON.parse(body).ref !== ref) lost.push([status, body]);
          answered += 1;
          if (closes) {
            told += 1;
            return;
          }
        }
      } catch (error) {
        lost.push(error);
      } finally {
        agent.destroy();
      }
    }

    const clients = Array.from({ length: CLIENTS }, load);
    await expect.poll(() => answered, { timeout: 10_000 }).toBeGreaterThan(5 * CLIENTS);
    const before = answered;
    const began = performance.now();
    const { code, err } = await stop("SIGTERM");
    const took = performance.now() - began;
    await Promise.all(clients);
    expect(lost).toEqual([]);
    expect(told).toBe(CLIENTS);
    expect(answered).toBeGreaterThanOrEqual(before + 1);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(took).toBeLessThan(10_000);
  }, 40_000);

  test("finishes running requests after SIGTERM, and answers 503 on /readyz meanwhile", async () => {
    const { token } = await t.create();
    const { url, stop, said } = await serve(["--redis", t.redis.url]);
    const agent = new Agent({ keepAlive: true });
    expect((await ask(`${url}/webapp/get/${token}`, agent)).status).toBe(200);
    t.redis.pause();
    const underWay = ask(`${url}/webapp/get/${token}`, agent);
    await sleep(100);
    const ended = stop("SIGTERM");
    await expect.poll(said).toContain("Finishing");
    const readyz = await ask(`${url}/readyz`, agent);
    expect(readyz).toEqual({ status: 503, closes: true, body: "not ready\n" });
    // New connections are refused by now.
    await sleep(700);
    await expect(ask(`${url}/ping`, new Agent())).rejects.toThrow(/ECONNREFUSED/);
    t.redis.resume();
    expect(await underWay).toMatchObject({ status: 200, closes: true });
    const began = performance.now();
    expect((await ended).code).toBe(0);
    // Node keeps an idle connection for 5 s. The exit must not wait for that.
    expect(performance.now() - began).toBeLessThan(3000);
    agent.destroy();
  });

  test("does not wait for idle connections", async () => {
    const { url, stop } = await serve(["--redis", t.redis.url]);
    const agent = new Agent({ keepAlive: true, keepAliveMsecs: 60_000 });
    await Promise.all(Array.from({ length: 5 }, () => ask(`${url}/ping`, agent)));
    const began = performance.now();
    expect((await stop("SIGTERM")).code).toBe(0);
    expect(performance.now() - began).toBeLessThan(5000);
    agent.destroy();
  });

  test("closes an incomplete request 10 s after SIGTERM", async () => {
    const { url, stop } = await serve(["--redis", t.redis.url]);
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.on("error", () => {});
    socket.write(
      "POST /webapp/set/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    );
    await sleep(50);
    const began = performance.now();
    expect((await stop("SIGTERM")).code).toBe(0);
    expect(performance.now() - began).toBeLessThan(12_000);
    socket.destroy();
  });
});

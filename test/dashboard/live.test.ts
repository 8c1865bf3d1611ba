import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { type Running, useDashboards, type Visitor } from "./support/dashboard.js";

const t = useEngine({ events: true });
const start = useDashboards(t);

/** Opens a stream of events. Returns what it has sent so far, without markup, and a function that ends it. */
async function listen(
  running: Running,
  path: string,
  cookie = "",
): Promise<{ lines(): string[]; end(): void; status: number }> {
  const aborter = new AbortController();
  const headers = { "x-role": "viewer", cookie };
  const response = await fetch(`${running.url}/${path}`, { headers, signal: aborter.signal });
  let text = "";
  const reading = async () => {
    for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) text += part;
  };
  reading().catch(() => {});
  const lines = () => (text.match(/<li[\s\S]*?<\/li>/g) ?? []).map((line) => line.replace(/<[^>]*>/g, ""));
  return { lines, end: () => aborter.abort(), status: response.status };
}

/** Collects the errors that would end the process while `run` runs. */
async function uncaught(run: () => Promise<unknown>): Promise<unknown[]> {
  const errors: unknown[] = [];
  const note = (error: unknown) => void errors.push(error);
  process.on("uncaughtException", note);
  await run().finally(() => process.off("uncaughtException", note));
  return errors;
}

/** How many connections hear the app. */
async function subscribers(): Promise<number> {
  return Number((await t.db.pubsub("NUMSUB", "rs:{webapp}:changes"))[1]);
}

async function cookieOf(visitor: Visitor): Promise<string> {
  return (await visitor.get("webapp/")).headers.get("set-cookie")?.split(";")[0] ?? "";
}

test("a stream tells who signed in, and which sessions ended and why", async () => {
  const running = await start();
  const stream = await listen(running, "webapp/events");
  await expect.poll(subscribers).toBe(1);
  const { ref } = await t.create();
  await t.rs.kill({ app: "webapp", ref });
  await t.create({ id: "bob" });
  await t.create({ id: "bob", maxPerUser: 1 });
  await expect.poll(stream.lines, { timeout: 5000 }).toHaveLength(5);
  const texts = stream.lines().map((line) => line.replace(/ \d+:\d\d:\d\d.*/, ""));
  expect(texts.sort()).toEqual([
    "A session of alice was ended",
    "A session of bob ended: too many sessions",
    "alice signed in",
    "bob signed in",
    "bob signed in",
  ]);
  stream.end();
  await expect.poll(subscribers, { timeout: 5000 }).toBe(0);
});

test("the stream of a user tells nothing of others", async () => {
  const running = await start();
  const visitor = running.visitor("viewer");
  const cookie = await cookieOf(visitor);
  const { path } = await visitor.find("bob");
  const stream = await listen(running, `${path}/events`, cookie);
  await expect.poll(subscribers).toBe(1);
  await t.create();
  await t.create({ id: "bob" });
  await expect.poll(() => stream.lines().length, { timeout: 5000 }).toBe(1);
  expect(stream.lines()[0]).toMatch(/^bob signed in/);
});

test("a session of RedisStore without a user is no sign-in", async () => {
  const running = await start();
  const stream = await listen(running, "webapp/events");
  await expect.poll(subscribers).toBe(1);
  const store = new RedisStore({ rs: t.rs, app: "webapp" });
  await store.set("sid", { cookie: { originalMaxAge: null } });
  await store.destroy("sid");
  await t.create();
  await expect.poll(() => stream.lines().length, { timeout: 5000 }).toBe(1);
  expect(stream.lines()[0]).toMatch(/^alice signed in/);
});

test("of many events at once only the latest are sent", async () => {
  const running = await start();
  const stream = await listen(running, "webapp/events");
  await expect.poll(subscribers).toBe(1);
  await Promise.all(Array.from({ length: 500 }, (_, i) => t.create({ id: i })));
  await t.create({ id: "last" });
  await expect.poll(() => stream.lines().some((line) => line.startsWith("last")), { timeout: 5000 }).toBe(true);
  // 20 each quarter of a second.
  expect(stream.lines().length).toBeLessThan(400);
});

test("hostile ids are shown as text", async () => {
  const running = await start();
  const stream = await listen(running, "webapp/events");
  await expect.poll(subscribers).toBe(1);
  await t.create({ id: "<img src=x onerror=alert(1)>\n\ndata: <li>x</li>" });
  await expect.poll(stream.lines, { timeout: 5000 }).toHaveLength(1);
  expect(stream.lines()[0]).toMatch(/^&#60;img src=x onerror=alert\(1\)&#62;/);
});

describe("without events", () => {
  test("pages name no stream, and its address answers 204, after which a browser does not ask again", async () => {
    const running = await start({ rs: new RedisSessions({ client: t.db, wipe: 0 }) });
    expect((await running.visitor().get("webapp/")).html).not.toMatch(/data-events|id="feed"/);
    expect((await listen(running, "webapp/events")).status).toBe(204);
  });
});

test("a stream needs the same rights as a page", async () => {
  const running = await start();
  const { html } = await running.visitor().get("webapp/");
  expect(html).toContain('data-events="../webapp/events"');
  const status = async (path: string, headers = {}) => (await fetch(`${running.url}/${path}`, { headers })).status;
  expect(await status("webapp/events")).toBe(403);
  expect(await status("shop/events", { "x-role": "admin" })).toBe(404);
  expect(await status("webapp/user/x/events", { "x-role": "admin" })).toBe(404);
  expect(await status("webapp/sessions/events", { "x-role": "admin" })).toBe(404);
});

describe("a stream never ends the process", () => {
  test("when a browser does not read, and an event follows the end of the response", async () => {
    let response: ServerResponse | undefined;
    const running = await start({}, (handler, path) => (req, res) => {
      response = res;
      req.url = req.url?.slice(path.length);
      handler(req, res);
    });
    const { port, host, pathname } = new URL(`${running.url}/webapp/events`);
    const socket = connect(Number(port), "localhost").pause();
    socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nX-Role: viewer\r\n\r\n`);
    await expect.poll(subscribers).toBe(1);
    // More than the buffers of the kernel take.
    response?.write(`:${"x".repeat(32 * 1024 * 1024)}\n\n`);
    response?.end();
    const other = await listen(running, "webapp/events");
    const errors = await uncaught(async () => {
      await t.create();
      await expect.poll(other.lines, { timeout: 5000 }).toHaveLength(1);
    });
    socket.destroy();
    other.end();
    expect(response?.writableFinished).toBe(false);
    expect(errors).toEqual([]);
  });

  test("when an announcement has no valid time", async () => {
    const running = await start();
    const stream = await listen(running, "webapp/events");
    await expect.poll(subscribers).toBe(1);
    const errors = await uncaught(async () => {
      await t.db.publish("rs:{webapp}:changes", 'soon\ncreated\nref\n"alice"\n');
      await t.create({ id: "bob" });
      await expect.poll(() => stream.lines().at(-1), { timeout: 5000 }).toMatch(/^alice signed in/);
    });
    stream.end();
    expect(errors).toEqual([]);
  });
});

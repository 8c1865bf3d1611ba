import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Express, Request, Response } from "express";
import express from "express4";
import { expect, test } from "vitest";
import type { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();

type Answer = (error: unknown, result: unknown) => void;
type Call = (options: object, answer: Answer) => void;

/**
 * An app with the routes of rest-sessions 2, which calls the engine in the same way: with callbacks, with the texts of
 * `req.query`, and with undefined for what the query lacks. It sends errors and results as they are.
 */
function restSessions(engine: RedisSessions): Express {
  const rs = engine as unknown as Record<string, Call>;
  const app = express();
  app.use(express.json({ limit: 60_000 }));
  const respond = (res: Response): Answer => {
    return (error, result) => {
      res.header("Content-Type", "application/json");
      if (error) res.status(500).send(error);
      else res.send(result);
    };
  };
  const route = (
    method: "get" | "put" | "post" | "delete",
    path: string,
    name: string,
    options: (req: Request) => object,
  ) => {
    app[method](path, (req: Request, res: Response) =>
      rs[name]?.({ app: req.params.app, ...options(req) }, respond(res)),
    );
  };
  const tokenOf = ({ params: { token } }: Request) => ({ token });
  const idOf = ({ params: { id } }: Request) => ({ id });
  route("get", "/:app/activity", "activity", ({ query: { dt } }) => ({ dt }));
  route("put", "/:app/create/:id", "create", ({ params: { id }, query: { ttl, ip }, body }) => {
    return { id, ttl, ip, ...(Object.keys(body).length > 0 && { d: body }) };
  });
  route("get", "/:app/get/:token", "get", tokenOf);
  route("post", "/:app/set/:token", "set", (req) => ({ ...tokenOf(req), d: req.body }));
  route("get", "/:app/soapp", "soapp", ({ query: { dt } }) => ({ dt }));
  route("get", "/:app/soid/:id", "soid", idOf);
  route("delete", "/:app/kill/:token", "kill", tokenOf);
  route("delete", "/:app/killsoid/:id", "killsoid", idOf);
  route("delete", "/:app/killall", "killall", () => ({}));
  app.get("/ping", (_req, res) => rs.ping?.(respond(res) as never, undefined as never));
  return app;
}

test("an app in the style of rest-sessions runs on the engine", async () => {
  const server = restSessions(t.rs).listen(0, "127.0.0.1");
  await once(server, "listening");
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const call = async (method: string, path: string, body?: object) => {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(base + path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await answer.text();
    return { status: answer.status, body: text.startsWith("{") ? JSON.parse(text) : text };
  };
  const token = async (path: string, body?: object) => (await call("PUT", path, body)).body.token as string;

  expect(await call("GET", "/ping")).toEqual({ status: 200, body: "PONG" });
  const first = await token("/TestApp/create/42?ip=127.0.0.1&ttl=30", { name: "Peter", age: 46 });
  const second = await token("/TestApp/create/43?ip=127.0.0.2");
  expect(await call("GET", `/TestApp/get/${first}`)).toMatchObject({
    status: 200,
    body: { id: "42", r: 1, w: 1, ttl: 30, idle: 0, ip: "127.0.0.1", d: { name: "Peter", age: 46 } },
  });
  expect((await call("GET", `/TestApp/get/${second}`)).body).toMatchObject({ id: "43", ttl: 7200 });
  const changed = await call("POST", `/TestApp/set/${first}`, { name: "Bruce", age: null });
  expect(changed.body).toMatchObject({ w: 2, d: { name: "Bruce" } });
  expect((await call("GET", "/TestApp/activity?dt=600")).body).toEqual({ activity: 2 });
  expect((await call("GET", "/TestApp/soapp?dt=600")).body).toMatchObject({ sessions: [{}, {}] });
  expect((await call("GET", "/TestApp/soid/42")).body).toMatchObject({ sessions: [{ ip: "127.0.0.1" }] });
  expect((await call("DELETE", `/TestApp/kill/${second}`)).body).toEqual({ kill: 1 });
  expect((await call("DELETE", "/TestApp/killsoid/42")).body).toEqual({ kill: 1 });
  expect((await call("DELETE", "/TestApp/killall")).body).toEqual({ kill: 0 });

  // The result is null, which Express sends as an empty body. redis-sessions 3 returned {}.
  expect(await call("GET", `/TestApp/get/${first}`)).toEqual({ status: 200, body: "" });
  for (const [path, name, message] of [
    ["/TestApp/get/short", "invalidFormat", "Invalid token format"],
    ["/TestApp/activity?dt=9", "invalidValue", "dt must be a positive integer >= 10"],
    ["/TestApp/activity", "missingParameter", "No dt supplied"],
  ]) {
    expect(await call("GET", `${path}`)).toMatchObject({ status: 500, body: { name, message } });
  }
  server.closeAllConnections();
  server.close();
});

import connect from "connect";
import express, { type RequestHandler } from "express";
import express4 from "express4";
import { describe, expect, test } from "vitest";
import { dashboard } from "../../src/dashboard/index.js";
import { useEngine } from "../support/engine.js";
import { type Mount, useDashboards } from "./support/dashboard.js";

const t = useEngine();
const start = useDashboards(t);

const MOUNTS: { readonly [framework: string]: Mount } = {
  "Express 5": (handler, path) => express().use(path, handler),
  "Express 5 with a body parser": (handler, path) =>
    express()
      .use(express.urlencoded({ extended: true }), express.json())
      .use(path, handler),
  "Express 4": (handler, path) => express4().use(path, handler),
  "Express 4 with a body parser": (handler, path) =>
    express4()
      .use(express4.urlencoded({ extended: false }) as RequestHandler, express4.json())
      .use(path, handler),
  "Express 5 in a router": (handler, path) =>
    express().use("/admin", express.Router().use(path.replace("/admin", ""), handler)),
  Connect: (handler, path) => connect().use(path, handler),
  "a proxy that cuts a part off the path": (handler) => {
    const app = express().use("/sessions", handler);
    return (req, res) => {
      req.url = req.url?.replace("/admin", "");
      app(req, res);
    };
  },
};

describe.each(Object.entries(MOUNTS))("%s", (_framework, mount) => {
  test("serves all pages, files and forms", async () => {
    const { ref } = await t.create({ device: "Firefox on Windows" });
    const { url, visitor, actions } = await start({ apps: ["webapp", "shop"] }, mount);
    const visit = visitor();
    const apps = await visit.get();
    expect(apps.path).toBe("");
    const overview = await visit.get(apps.link(">webapp<"));
    expect((await visit.get("webapp")).path).toBe("webapp/");
    const list = await visit.get(overview.link("All sessions"));
    expect((await visit.get(list.link("Firefox on Windows"))).path).toBe(`webapp/session/${ref}`);
    const user = await visit.find("alice");
    expect(user.text).toContain("Sessions: 1");
    const done = await visit.post(user.link("End all"), { reason: "x" });
    expect([done.path.split("?")[0], actions.length]).toEqual([user.path, 1]);
    expect((await visit.get("webapp/nothing")).status).toBe(404);
    expect((await visit.get("%ff/%")).status).toBe(404);
    const style = new URL(/href="([^"]+\.css)"/.exec(user.html)?.[1] as string, `${url}/${user.path}`);
    expect((await fetch(style)).headers.get("content-type")).toBe("text/css; charset=utf-8");
  });
});

test("node:http serves it at the root", async () => {
  await t.create();
  const { url, visitor } = await start({}, (handler) => (req, res) => {
    req.url = req.url?.slice("/admin/sessions".length) || "/";
    handler(req, res);
  });
  expect(url).toContain("/admin/sessions");
  expect((await visitor().find("alice")).text).toContain("Sessions: 1");
});

test("answers what the app has answered meanwhile with nothing more", async () => {
  const { visitor, errors } = await start(
    { authorize: () => new Promise((resolve) => setTimeout(resolve, 30, { role: "viewer", actor: 1 })) },
    (handler, path) =>
      express().use(path, (req, res) => {
        handler(req, res);
        res.status(504).send("too late");
      }),
  );
  expect((await visitor().get("webapp/")).status).toBe(504);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(errors).toEqual([]);
});

test("is a function that Express types accept", () => {
  const handler = dashboard({
    rs: t.rs,
    apps: ["webapp"],
    authorize: (req: express.Request) => ({ role: "support", actor: req.hostname }),
    onAction: (action, req: express.Request) => console.log(action.actor, req.ip),
  });
  expect(express().use("/admin", handler)).toBeDefined();
});

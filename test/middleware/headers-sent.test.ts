import { describe, expect, test } from "vitest";
import { dump } from "../support/dump.js";
import { type Handler, SERVER_NAMES } from "./support/servers.js";
import { outcome, useSites } from "./support/site.js";

const t = useSites();

const calls: [string, Handler][] = [
  ["create", (req) => req.rs.create("bob")],
  ["rotate", (req) => req.rs.rotate()],
  ["kill", (req) => req.rs.kill()],
  ["killAll", (req) => req.rs.killAll()],
];

describe.each(SERVER_NAMES)("%s", (server) => {
  test.each(calls)(
    "%s throws headersSent and changes nothing in Redis if the response has begun",
    async (_name, call) => {
      const site = await t.open(
        {
          "/login": (req) => req.rs.create("alice"),
          "/late": async (req, res) => {
            res.writeHead(200).write(" ");
            const before = await dump(t.db);
            const failed = await outcome(Promise.resolve(call(req, res)));
            res.end(JSON.stringify({ failed, state: req.rs.state, same: isSame(before, await dump(t.db)) }));
          },
          "/me": (req) => req.rs.get(),
        },
        { server },
      );
      const browser = site.browser();
      await browser.post("/login");
      const { token } = browser;
      expect(JSON.parse((await browser.post("/late")).text)).toEqual({
        failed: expect.objectContaining({
          error: "headersSent",
          code: "ERR_HEADERS_SENT",
          message: expect.stringContaining("the response has begun"),
        }),
        state: "unmodified",
        same: true,
      });
      expect(browser.token).toBe(token);
      expect((await browser.get("/me")).body).toMatchObject({ id: "alice" });
    },
  );

  test("get, set and killOthers work after the response has begun", async () => {
    const site = await t.open(
      {
        "/login": (req) => req.rs.create("alice"),
        "/late": async (req, res) => {
          res.write(" ");
          await req.rs.set({ a: 1 });
          res.end(JSON.stringify([await req.rs.get(), await req.rs.devices(), await req.rs.killOthers()]));
        },
      },
      { server },
    );
    const [laptop, phone] = [site.browser(), site.browser()];
    await laptop.post("/login");
    await phone.post("/login");
    const answer = JSON.parse((await laptop.post("/late")).text);
    expect(answer).toMatchObject([{ d: { a: 1 } }, [{ id: "alice" }, { id: "alice" }], { kill: 1 }]);
  });
});

describe("if the response begins during the call", () => {
  async function begun(call: Handler) {
    const site = await t.open({
      "/login": (req) => req.rs.create("alice"),
      "/late": async (req, res) => {
        const calling = outcome(Promise.resolve(call(req, res)));
        res.writeHead(200).write(" ");
        res.end(JSON.stringify([await calling, req.rs.state]));
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    const answer: unknown = JSON.parse((await browser.post("/late")).text);
    const count = async (id: string) => (await t.rs.soid({ app: "webapp", id })).sessions.length;
    return { answer, alice: await count("alice"), bob: await count("bob") };
  }

  test("create throws headersSent and ends the session that it created", async () => {
    expect(await begun((req) => req.rs.create("bob"))).toMatchObject({
      answer: [{ error: "headersSent" }, "ended"],
      bob: 0,
    });
  });

  test.each<[string, Handler]>([
    ["kill", (req) => req.rs.kill()],
    ["killAll", (req) => req.rs.killAll()],
  ])("%s has ended the session, and says so", async (_name, call) => {
    expect(await begun(call)).toEqual({ answer: [{ kill: 1 }, "ended"], alice: 0, bob: 0 });
  });
});

test("throws headersSent with write, but not if no response sets the token", async () => {
  const late: Handler = async (req, res) => {
    res.write(" ");
    res.end(JSON.stringify(await outcome(req.rs.create("alice"))));
  };
  const custom = t.auth({ read: () => undefined, write: () => {} });
  const first = await t.open({ "/late": late }, { use: [custom] });
  expect(JSON.parse((await first.browser().post("/late")).text)).toMatchObject({ error: "headersSent" });
  const api = await t.open({ "/late": late }, { use: [t.auth({ header: true, cookie: false })] });
  expect(JSON.parse((await api.browser().post("/late")).text)).toHaveProperty("token");
});

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SessionError } from "../../../src/errors.js";
import type { Authorize } from "../../../src/rest/index.js";
import { useApi } from "../support/api.js";
import { expectProblem } from "../support/problem.js";

const TOKEN = "t".repeat(64);
const PATH = `/webapp/get/${TOKEN}`;

/** Checks where the cause of a 500 is reported. */
export function describeFailures(): void {
  const t = useApi();
  const print = vi.spyOn(console, "error");
  beforeEach(() => void print.mockReset().mockImplementation(() => {}));
  afterEach(() => void print.mockReset());

  function failing(error: unknown): Authorize {
    return () => {
      throw error;
    };
  }

  test("calls onError with the error and the request, once for each 500", async () => {
    const told: [unknown, string][] = [];
    const error = new TypeError("cannot read properties of undefined");
    const onError = (error: unknown, req: { path: string }) => void told.push([error, req.path]);
    const api = await t.open({ onError, authorize: failing(error) });
    expectProblem(await api.get(PATH), 500, "ERR_INTERNAL");
    expect(told).toEqual([[error, PATH]]);
    expect(print).not.toHaveBeenCalled();
  });

  test.each([400, 413, 415])("answers 500 for an error of authorize with the status %i", async (status) => {
    const error = Object.assign(new Error("Request failed"), { status });
    const told: unknown[] = [];
    const api = await t.open({ onError: (error) => void told.push(error), authorize: failing(error) });
    expectProblem(await api.get(PATH), 500, "ERR_INTERNAL");
    expect(told).toEqual([error]);
  });

  test("calls onError with an error of Redis", async () => {
    const told: unknown[] = [];
    const api = await t.open({ onError: (error) => void told.push(error) });
    await t.db.set("rs:{webapp}:users", "no zset");
    expectProblem(await api.get("/webapp/activity?dt=60"), 500, "ERR_INTERNAL");
    expect(told).toMatchObject([{ name: "redisError", cause: { message: expect.stringMatching(/^WRONGTYPE/) } }]);
  });

  test("does not call onError for errors of the client", async () => {
    const onError = vi.fn();
    const api = await t.open({ onError, authorize: (req) => req.path.startsWith("/webapp") });
    for (const path of ["/webapp/get/short", "/nothing", "/webapp/soid/%", "/other/soid/x"]) await api.get(path);
    expect(onError).not.toHaveBeenCalled();
  });

  test.each<[string, unknown, string]>([
    [
      "an error with its cause",
      new TypeError("no directory", { cause: new Error("connect ECONNREFUSED") }),
      "TypeError: no directory: connect ECONNREFUSED",
    ],
    [
      "an error with its hint",
      new SessionError("redisError", "no", { hint: "ask the admin", cause: new Error("NOPERM") }),
      "redisError: no: NOPERM (ask the admin)",
    ],
    ["a cause that the message contains", new Error("it: b", { cause: new Error("b") }), "Error: it: b"],
    ["a string", "no", "string was thrown: no"],
    ["a string with several lines", "no\nFAKE\u001b[2J", "string was thrown: no FAKE [2J"],
    ["nothing", undefined, "undefined was thrown"],
    ["an object", { token: TOKEN }, "object was thrown"],
  ])("prints %s without the URL if there is no onError", async (_what, error, line) => {
    const api = await t.open({ onError: undefined, authorize: failing(error) } as never);
    expectProblem(await api.get(PATH), 500, "ERR_INTERNAL");
    expect(print.mock.calls).toEqual([[`ioredis-sessions/rest: ${line}`]]);
  });

  test.each([undefined, null, 0, "", "route", "router"])(
    "refuses the request if authorize throws %j",
    async (thrown) => {
      const { ref } = await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
      for (const authorize of [failing(thrown), () => Promise.reject(thrown)]) {
        const api = await t.open({ authorize });
        expectProblem(await api.call("DELETE", "/webapp/killall"), 500, "ERR_INTERNAL");
      }
      expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toMatchObject([{ ref }]);
    },
  );

  test.each<[string, () => void | Promise<void>]>([
    [
      "throws",
      () => {
        throw new Error("the log is full");
      },
    ],
    ["rejects", async () => Promise.reject(new Error("the log is full"))],
  ])("answers 500 and prints the error if onError %s", async (_how, onError) => {
    const api = await t.open({ onError, authorize: failing(new Error("first")) });
    expectProblem(await api.get(PATH), 500, "ERR_INTERNAL");
    await expect.poll(() => print.mock.calls).toEqual([["ioredis-sessions/rest: Error: the log is full"]]);
  });
}

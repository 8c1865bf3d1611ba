import { afterAll, beforeAll, expect, test } from "vitest";
import { browse } from "./support/browse.js";
import { startExample } from "./support/example.js";
import type { Program } from "./support/programs.js";

let demo: Program;

/** A browser that keeps its cookie. */
function visitor() {
  let cookie = "";
  return async (path: string, form?: Record<string, string>) => {
    const answer = await browse(demo.url + path, cookie, form, { "sec-fetch-site": "same-origin" });
    cookie = answer.cookie;
    return answer;
  };
}

beforeAll(async () => {
  // No redis-server on this PATH: the demo has to do with the stand-in.
  demo = await startExample("devices.js", "", { PATH: "" });
});
afterAll(() => demo?.stop());

test("the demo needs no Redis: a session that ended elsewhere is signed out at its next click", async () => {
  const [laptop, phone, admin] = [visitor(), visitor(), visitor()];
  await laptop("/login", { name: "alice" });
  await phone("/login", { name: "alice" });
  expect((await laptop("/")).text).toContain("Where you are signed in");
  expect((await laptop("/devices/end-others", {})).status).toBe(303);
  expect(await phone("/theme", { theme: "dark" })).toMatchObject({ status: 303 });
  expect(await phone("/")).toMatchObject({ status: 200, text: expect.stringContaining("Log in") });

  await admin("/login", { name: "admin" });
  expect((await admin("/admin/logout", { id: "alice" })).status).toBe(303);
  expect((await admin("/admin")).text).toContain("alice is signed out everywhere (1 session)");
  expect(await laptop("/logout", {})).toMatchObject({ status: 303 });
  expect(await laptop("/")).toMatchObject({ status: 200, text: expect.stringContaining("Log in") });
});

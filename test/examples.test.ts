import { afterAll, beforeAll, expect, test } from "vitest";
import { startExample } from "./support/example.js";
import type { Program } from "./support/programs.js";

/** A browser with one cookie. */
class Visitor {
  readonly #url: string;
  cookie = "";

  constructor(url: string) {
    this.#url = url;
  }

  async ask(path: string, form?: Record<string, string>): Promise<{ status: number; text: string }> {
    const response = await fetch(this.#url + path, {
      redirect: "manual",
      headers: { cookie: this.cookie, "sec-fetch-site": "same-origin" },
      ...(form && { method: "POST", body: new URLSearchParams(form) }),
    });
    for (const line of response.headers.getSetCookie()) this.cookie = line.split(";")[0] ?? "";
    return { status: response.status, text: await response.text() };
  }
}

let demo: Program;

beforeAll(async () => {
  // No redis-server on this PATH: the demo has to do with the stand-in.
  demo = await startExample("devices.js", "", { PATH: "" });
});
afterAll(() => demo?.stop());

test("the demo needs no Redis: a session that ended elsewhere is signed out at its next click", async () => {
  const [laptop, phone, admin] = [new Visitor(demo.url), new Visitor(demo.url), new Visitor(demo.url)];
  await laptop.ask("/login", { name: "alice" });
  await phone.ask("/login", { name: "alice" });
  expect((await laptop.ask("/")).text).toContain("Where you are signed in");
  expect((await laptop.ask("/devices/end-others", {})).status).toBe(303);
  expect(await phone.ask("/theme", { theme: "dark" })).toMatchObject({ status: 303 });
  expect(await phone.ask("/")).toMatchObject({ status: 200, text: expect.stringContaining("Log in") });

  await admin.ask("/login", { name: "admin" });
  expect((await admin.ask("/admin/logout", { id: "alice" })).status).toBe(303);
  expect((await admin.ask("/admin")).text).toContain("alice is signed out everywhere (1 session)");
  expect(await laptop.ask("/logout", {})).toMatchObject({ status: 303 });
  expect(await laptop.ask("/")).toMatchObject({ status: 200, text: expect.stringContaining("Log in") });
});

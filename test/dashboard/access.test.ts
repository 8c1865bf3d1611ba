import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { SessionError } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { useDashboards } from "./support/dashboard.js";

const t = useEngine();
const start = useDashboards(t);

describe("authorize", () => {
  test.each([null, undefined, false] as const)("refuses a request with 403 for %s", async (grant) => {
    await t.create();
    const { visitor, errors } = await start({ authorize: async () => grant });
    for (const path of ["", "webapp/", "webapp/sessions", "webapp/end", "nothing"]) {
      const page = await visitor().get(path);
      expect([path, page.status]).toEqual([path, 403]);
      expect(page.text).toContain("Not allowed");
      expect(page.html).not.toMatch(/alice|webapp/);
    }
    expect(errors).toEqual([]);
  });

  test("refuses a request with 403 if it throws, and passes on the error", async () => {
    const failure = new Error("the directory does not answer");
    const { visitor, errors } = await start({ authorize: () => Promise.reject(failure) });
    const page = await visitor().get();
    expect(page.status).toBe(403);
    expect(page.html).not.toContain("directory");
    expect(errors).toEqual([failure]);
  });

  test("answers 503 if it fails because Redis cannot be reached", async () => {
    const failure = new SessionError("timeout", "Redis did not answer in time");
    const { visitor } = await start({ authorize: () => Promise.reject(failure) });
    expect((await visitor().get()).status).toBe(503);
  });

  test.each([
    [true],
    ["admin"],
    [{ role: "Admin", actor: "dana" }],
    [{ role: "admin" }],
    [{ role: "admin", actor: "" }],
    [{ role: "admin", actor: { id: 1 } }],
    [[]],
  ])("answers 500 for the grant %j, and passes on the error", async (grant) => {
    const { visitor, errors } = await start({ authorize: () => grant as never });
    expect((await visitor().get("webapp/")).status).toBe(500);
    expect(errors).toEqual([expect.objectContaining({ message: expect.stringMatching(/^authorize must return/) })]);
  });

  test("is asked again for each request", async () => {
    const running = await start({ authorize: (req) => ({ role: req.headers["x-as"] as "viewer", actor: 1 }) });
    const visitor = running.visitor("none", { "x-as": "viewer" });
    const form = (await running.visitor("none", { "x-as": "admin" }).get()).link("End all sessions of the app");
    expect((await visitor.get(form)).status).toBe(403);
  });
});

describe("the roles", () => {
  const ALLOWED = {
    viewer: [200, 200, 200, 403, 403, 403],
    support: [200, 200, 200, 200, 200, 403],
    admin: [200, 200, 200, 200, 200, 200],
  } as const;

  test.each(["viewer", "support", "admin"] as const)("show a %s only what it may do", async (role) => {
    const { ref } = await t.create();
    const visitor = (await start()).visitor(role);
    const user = await visitor.find("alice");
    const paths = ["webapp/", "webapp/sessions", `webapp/session/${ref}`];
    const forms = [`webapp/session/${ref}/end`, `${user.path}/end`, "webapp/end"];
    const got = await Promise.all([...paths, ...forms].map(async (path) => (await visitor.get(path)).status));
    expect(got).toEqual(ALLOWED[role]);

    const shown = (await Promise.all(["webapp/", `webapp/session/${ref}`, user.path].map(visitor.get))).map(
      (page) => [...page.html.matchAll(/href="[^"]*\/?end"/g)].length,
    );
    expect(shown).toEqual({ viewer: [0, 0, 0], support: [1, 1, 2], admin: [2, 1, 2] }[role]);
  });

  test.each(["viewer", "support"] as const)("refuse the forms of another role to a %s", async (role) => {
    const { ref } = await t.create();
    const { visitor, actions } = await start();
    const visit = visitor(role);
    const user = await visit.find("alice");
    const forms = { viewer: [`webapp/session/${ref}/end`, `${user.path}/end`, "webapp/end"], support: ["webapp/end"] };
    for (const path of forms[role]) {
      const page = await visit.post(path, { reason: "x", confirm: "webapp" });
      expect(page.status).toBe(403);
      expect(page.text).toContain("Your role may not do this.");
    }
    expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toHaveLength(1);
    expect(actions).toEqual([]);
  });
});

describe("a form", () => {
  /** Sends the form that ends alice's session, with other headers or a wrong token. */
  async function send(fields: Record<string, string>, headers: Record<string, string> = {}): Promise<number> {
    const { ref } = await t.create();
    const visitor = (await start()).visitor();
    await visitor.get(`webapp/session/${ref}/end`);
    const page = await visitor.post(`webapp/session/${ref}/end`, { reason: "x", ...fields }, headers);
    const isEnded = (await t.rs.get({ app: "webapp", ref })) === null;
    expect(isEnded).toBe(page.status === 200);
    return page.status;
  }

  test("is accepted from a page of ours", async () => {
    expect(await send({})).toBe(200);
    expect(await send({}, { "sec-fetch-site": "same-origin" })).toBe(200);
    expect(await send({}, { origin: "http://localhost:1" })).toBe(200);
  });

  test("is refused without the token, and with that of another browser", async () => {
    expect(await send({ token: "" })).toBe(403);
    const other = (await (await start()).visitor().get()).html;
    expect(await send({ token: /name="token" value="([^"]+)/.exec(other)?.[1] as string })).toBe(403);
  });

  test.each([
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
    { origin: "https://evil.example" },
    { origin: "null" },
  ])("is refused with %j, whatever its token", async (headers) => {
    expect(await send({}, headers as Record<string, string>)).toBe(403);
  });

  test("is refused if it is not urlencoded, or larger than 16 KB", async () => {
    const { url } = await start();
    const post = (body: string, type: string) =>
      fetch(`${url}/webapp/user`, { method: "POST", body, headers: { "x-role": "admin", "content-type": type } });
    expect((await post('{"id":"alice"}', "application/json")).status).toBe(403);
    const large = await post(`id=${"x".repeat(100_000)}`, "application/x-www-form-urlencoded").catch(() => undefined);
    expect([413, undefined]).toContain(large?.status);
  });

  test("is no error if the browser goes away while it is read", async () => {
    let request: IncomingMessage | undefined;
    const { url, errors } = await start({}, (handler, path) => (req, res) => {
      request = req;
      req.url = req.url?.slice(path.length);
      handler(req, res);
    });
    const { port, host, pathname } = new URL(`${url}/webapp/user`);
    const socket = connect(Number(port), "localhost");
    socket.write(`POST ${pathname} HTTP/1.1\r\nHost: ${host}\r\nX-Role: admin\r\nContent-Length: 100\r\n\r\nid=al`);
    await expect.poll(() => request?.readableDidRead).toBe(true);
    socket.destroy();
    await expect.poll(() => request?.errored).toMatchObject({ message: "aborted" });
    await setImmediate();
    expect(errors).toEqual([]);
  });
});

describe("a response", () => {
  test("has headers that forbid scripts of others, frames, caches and robots", async () => {
    const { visitor } = await start();
    for (const page of [await visitor().get(), await visitor("none").get(), await visitor().get("nothing")]) {
      expect(Object.fromEntries(page.headers)).toMatchObject({
        "cache-control": "no-store",
        "content-security-policy":
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
          "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "x-robots-tag": "noindex",
      });
      expect(page.html).not.toMatch(/<script>| style=| on\w+=|javascript:/);
    }
  });

  test("refuses other methods", async () => {
    const { url } = await start();
    const response = await fetch(`${url}/webapp/`, { method: "DELETE", headers: { "x-role": "admin" } });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD, POST"]);
  });

  test("to HEAD has no body", async () => {
    const { url } = await start();
    const response = await fetch(`${url}/webapp/`, { method: "HEAD", headers: { "x-role": "admin" } });
    expect([response.status, await response.text()]).toEqual([200, ""]);
  });
});

describe("an address", () => {
  test("contains neither the id of a user nor the id of a session of RedisStore", async () => {
    const { url, visitor } = await start();
    await t.create({ id: "alice@example.com" });
    const visit = visitor();
    const user = await visit.find("alice@example.com");
    const ended = await visit.post(user.link("End all"), { reason: "alice@example.com asked" });
    expect(ended.text).toContain("Ended sessions: 1");
    for (const { path, html } of [user, ended, await visit.get(), await visit.get("webapp/sessions")]) {
      const addresses = [path, ...[...html.matchAll(/(?:href|src|action)="([^"]*)"/g)].map(([, address]) => address)];
      for (const address of addresses) {
        expect(decodeURIComponent(address as string)).not.toMatch(/alice|example/);
        expect(Buffer.from((address as string).split("/").at(-1) ?? "", "base64url").toString()).not.toMatch(/alice/);
      }
    }
    expect(url).toMatch(/^http/);
  });
});

describe("the cookie", () => {
  test("is set once, for the whole site, and not for scripts", async () => {
    const { url } = await start();
    const first = await fetch(`${url}/webapp/`, { headers: { "x-role": "viewer" } });
    const cookie = first.headers.get("set-cookie") as string;
    expect(cookie).toMatch(/^rs-dashboard=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/);
    const headers = { "x-role": "viewer", cookie: `a=b; ${cookie.split(";")[0]}; c=d` };
    expect((await fetch(`${url}/webapp/`, { headers })).headers.get("set-cookie")).toBeNull();
    const html = await first.text();
    expect(html).not.toContain(cookie.slice(13, 56));
  });

  test("has the prefix __Host- over HTTPS", async () => {
    const running = await start({}, (handler, path) => (req, res) => {
      Object.assign(req, { secure: true, originalUrl: req.url, url: req.url?.slice(path.length) });
      handler(req, res);
    });
    const page = await running.visitor().get("webapp/");
    expect(page.headers.get("set-cookie")).toMatch(/^__Host-rs-dashboard=.*; Secure$/);
  });

  test("that is malformed is replaced", async () => {
    const { url } = await start();
    const headers = { "x-role": "viewer", cookie: `rs-dashboard=${"x".repeat(42)}; rs-dashboard=%;` };
    expect((await fetch(`${url}/webapp/`, { headers })).headers.get("set-cookie")).toMatch(/^rs-dashboard=/);
  });
});

describe("the files", () => {
  test("may be kept for ever, because their names contain a hash, and together are smaller than 50 KB", async () => {
    const { url, visitor } = await start();
    const { html } = await visitor().get();
    let bytes = html.length;
    const files = [...new Set([...html.matchAll(/"\.\.\/(-\/[^"]+)"/g)].map(([, file]) => file as string))];
    expect(files).toHaveLength(3);
    for (const file of files) {
      const response = await fetch(`${url}/${file}`);
      expect(response.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
      const body = await response.text();
      expect(file).toContain(createHash("sha256").update(body).digest("hex").slice(0, 16));
      bytes += body.length;
    }
    expect(bytes).toBeLessThan(50_000);
  });

  test("of another version do not exist", async () => {
    const response = await fetch(`${(await start()).url}/-/dashboard-0000000000000000.css`);
    expect([response.status, response.headers.get("cache-control")]).toEqual([404, "no-store"]);
  });
});

import { describe, expect, test } from "vitest";
import type { SessionsOptions } from "../../src/middleware/index.js";
import { type Data, type Routes, SERVER_NAMES } from "./support/servers.js";
import { useSites } from "./support/site.js";

const t = useSites();

const routes: Routes = {
  "/login": (req) => req.rs.create("alice"),
  "/me": (req) => req.rs.get(),
  "/rotate": (req) => req.rs.rotate({ grace: 0 }),
  "/logout": (req) => req.rs.kill(),
};

async function tokenOf(id: string): Promise<string> {
  return (await t.rs.create({ app: "webapp", id, ip: "::1" })).token;
}

const signedIn = (id: string) => ({ status: 200, body: { id } });
const signedOut = { status: 200, body: null };

describe.each(SERVER_NAMES)("%s", (server) => {
  async function open(options: Partial<SessionsOptions<Data, string>>) {
    return (await t.open(routes, { server, use: [t.auth(options)] })).browser();
  }

  test("reads the token from Authorization: Bearer, and sets no cookie with cookie: false", async () => {
    const client = await open({ header: true, cookie: false });
    const { body, cookies } = await client.post("/login");
    const { token } = body as { token: string };
    expect(cookies).toEqual([]);
    for (const authorization of [`Bearer ${token}`, `bearer ${token}`, `BEARER  ${token} `]) {
      expect(await client.get("/me", { authorization })).toMatchObject(signedIn("alice"));
    }
    const rotated = await client.post("/rotate", { authorization: `Bearer ${token}` });
    expect(rotated.cookies).toEqual([]);
    const authorization = `Bearer ${(rotated.body as { token: string }).token}`;
    expect(await client.get("/me", { authorization: `Bearer ${token}` })).toMatchObject({ ...signedOut, cookies: [] });
    expect(await client.post("/logout", { authorization })).toMatchObject({ body: { kill: 1 }, cookies: [] });
    expect(await client.get("/me", { authorization })).toMatchObject(signedOut);
  });

  test("reads the token from a custom header, in any case", async () => {
    const client = await open({ header: "X-Session-Token", cookie: false });
    const { token } = (await client.post("/login")).body as { token: string };
    expect(await client.get("/me", { "x-session-token": token })).toMatchObject(signedIn("alice"));
    expect(await client.get("/me", { "X-SESSION-TOKEN": token })).toMatchObject(signedIn("alice"));
    expect(await client.get("/me", { authorization: `Bearer ${token}` })).toMatchObject(signedOut);
    expect(await client.get("/me", { "x-session-token": `Bearer ${token}` })).toMatchObject(signedOut);
  });

  test("prefers the header to the cookie, unless it holds no token", async () => {
    const client = await open({ header: true });
    await client.post("/login");
    expect(await client.get("/me")).toMatchObject(signedIn("alice"));
    const authorization = `Bearer ${await tokenOf("bob")}`;
    expect(await client.get("/me", { authorization })).toMatchObject(signedIn("bob"));
    expect(await client.get("/me", { authorization: "Basic YTpi" })).toMatchObject(signedIn("alice"));
  });

  test("keeps the cookie if the header's session has ended", async () => {
    const client = await open({ header: true });
    await client.post("/login");
    const authorization = `Bearer ${"x".repeat(64)}`;
    expect(await client.get("/me", { authorization })).toMatchObject({ ...signedOut, cookies: [] });
    expect(await client.get("/me")).toMatchObject(signedIn("alice"));
  });

  test("keeps the cookie when the header's session is killed", async () => {
    const client = await open({ header: true });
    await client.post("/login");
    const authorization = `Bearer ${await tokenOf("bob")}`;
    expect(await client.post("/logout", { authorization })).toMatchObject({ body: { kill: 1 }, cookies: [] });
    expect(await client.get("/me", { authorization })).toMatchObject(signedOut);
    expect(await client.get("/me")).toMatchObject(signedIn("alice"));
  });

  test("ignores headers without the option header", async () => {
    const client = await open({});
    const token = await tokenOf("bob");
    expect(await client.get("/me", { authorization: `Bearer ${token}` })).toMatchObject(signedOut);
  });

  test("reads the token with read and sends it with write", async () => {
    const written: (string | undefined)[] = [];
    const client = await open({
      read: (req) => new URL(`${req.url}`, "http://localhost").searchParams.get("t") ?? undefined,
      write: (res, token) => {
        written.push(token);
        res.setHeader("X-Token", token ?? "gone");
      },
    });
    const first = await client.post("/login");
    const { token } = first.body as { token: string };
    expect(first).toMatchObject({ cookies: [], headers: { "x-token": token } });
    expect(await client.get(`/me?t=${token}`)).toMatchObject(signedIn("alice"));
    const rotated = await client.post(`/rotate?t=${token}`);
    expect(rotated.headers["x-token"]).toMatch(/^[A-Za-z0-9]{64}$/);
    expect(await client.post(`/logout?t=${rotated.headers["x-token"]}`)).toMatchObject({
      body: { kill: 1 },
      headers: { "x-token": "gone" },
      cookies: [],
    });
    expect(written).toEqual([token, rotated.headers["x-token"], undefined]);
  });

  test("prefers read to header and cookie, unless it returns no token", async () => {
    const client = await open({ read: (req) => `${req.headers["x-mine"]}`, header: true });
    await client.post("/login");
    const mine = { "x-mine": await tokenOf("carol"), authorization: `Bearer ${await tokenOf("bob")}` };
    expect(await client.get("/me", mine)).toMatchObject(signedIn("carol"));
    expect(await client.get("/me", { ...mine, "x-mine": "nonsense" })).toMatchObject(signedIn("bob"));
    expect(await client.get("/me")).toMatchObject(signedIn("alice"));
  });
});

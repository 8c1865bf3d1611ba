import crypto from "node:crypto";
import { sign } from "cookie-signature";
import { afterEach, describe, expect, test, vi } from "vitest";
import { SERVER_NAMES } from "./support/servers.js";
import { SECRET, useSites } from "./support/site.js";

const t = useSites();

afterEach(() => void vi.restoreAllMocks());

const forged = (i: number) => `rs=${String(i).padStart(64, "A")}.${"A".repeat(43)}`;

/** Returns how many values a request with this cookie decodes, and how many signatures it computes. */
async function work(server: (typeof SERVER_NAMES)[number], cookie: string): Promise<[decoded: number, hmacs: number]> {
  const site = await t.open({ "/me": (req) => req.rs.get() }, { server });
  const browser = site.browser({ cookie });
  const decode = vi.spyOn(globalThis, "decodeURIComponent");
  const hmac = vi.spyOn(crypto, "createHmac");
  const { body } = await browser.get("/me");
  // Express decodes the path with the same function.
  const counts: [number, number] = [
    decode.mock.calls.filter(([text]) => !text.startsWith("/") && text !== "me").length,
    hmac.mock.calls.length,
  ];
  vi.restoreAllMocks();
  expect(body).toBeNull();
  return counts;
}

describe.each(SERVER_NAMES)("a hostile Cookie header on %s", (server) => {
  test("decodes no value of impossible length", async () => {
    expect(await work(server, Array(3200).fill("rs=%;").join("").slice(0, -1))).toEqual([0, 0]);
    expect(await work(server, `rs=${"%41".repeat(4000)}`)).toEqual([0, 0]);
    expect(await work(server, `rs=${"%41".repeat(30)}`)).toEqual([0, 0]);
  });

  test("decodes no cookie of another name", async () => {
    const value = "%41".repeat(108);
    expect(await work(server, `theme=${value}; rs2=${value}; xrs=${value}; rs.sig=${value}; q=rs; a=%; rs=x`)).toEqual([
      0, 0,
    ]);
  });

  test("computes at most four signatures", async () => {
    const cookie = Array.from({ length: 100 }, (_, i) => forged(i)).join("; ");
    const [, hmacs] = await work(server, cookie);
    expect(hmacs).toBe(4);
  });
});

test("finds the valid cookie after thousands of malformed ones", async () => {
  const site = await t.open({ "/me": (req) => req.rs.get() });
  const { token } = await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
  const good = `rs=${encodeURIComponent(sign(token, SECRET))}`;
  const cookie = `${"rs=%;".repeat(2500)} ${forged(1)}; rs;; =; rs ; ${good}`;
  expect((await site.browser({ cookie }).get("/me")).body).toMatchObject({ id: "alice" });
});

test("accepts white space around name and value, and a fully percent-encoded value", async () => {
  const site = await t.open({ "/me": (req) => req.rs.get() });
  const { token } = await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
  const signed = sign(token, SECRET);
  const encoded = [...signed].map((char) => `%${char.charCodeAt(0).toString(16)}`).join("");
  for (const cookie of [`a=b;rs=${signed}`, `a=b;\t rs = ${signed} ;c=d`, `a=b; rs=${encoded}; c=d`]) {
    expect((await site.browser({ cookie }).get("/me")).body).toMatchObject({ id: "alice" });
  }
});

test("reads no more than the first 512 characters of a User-Agent", async () => {
  const site = await t.open({ "/login": (req) => req.rs.create("alice"), "/me": (req) => req.rs.get() });
  for (const [padding, device] of [
    [400, "Firefox on Linux"],
    [4000, "Mozilla"],
  ] as const) {
    const agent = `Mozilla/5.0 (${" ".repeat(padding)}X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0`;
    const browser = site.browser({ "user-agent": agent });
    await browser.post("/login");
    expect((await browser.get("/me")).body).toMatchObject({ device });
  }
});

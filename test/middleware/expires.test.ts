import { describe, expect, test } from "vitest";
import { refOf } from "../../src/sessions/token.js";
import { query, useSites } from "./support/site.js";

const t = useSites();

describe("the cookie", () => {
  test("does not renew the cookie in a response that Expires makes cacheable", async () => {
    const auth = t.auth({ cookie: { maxAge: 3600 } });
    const site = await t.open(
      {
        "/login": (req) => req.rs.create("alice"),
        "/me": async (req, res) => {
          await req.rs.get();
          for (const name of ["Expires", "Cache-Control"]) if (query(req, name)) res.setHeader(name, query(req, name));
        },
      },
      { use: [auth] },
    );
    const renewed = async (headers: Record<string, string>) => {
      const browser = site.browser();
      await browser.post("/login");
      const now = Date.now();
      await t.alter(refOf(`${browser.token}`), { created: now - 600_000, la: now - 300_000 });
      return (await browser.get(`/me?${new URLSearchParams(headers)}`)).cookies.length;
    };
    const future = new Date(Date.now() + 3_600_000).toUTCString();
    const past = new Date(0).toUTCString();
    expect(await renewed({ Expires: future })).toBe(0);
    expect(await renewed({ Expires: future, "Cache-Control": "must-revalidate" })).toBe(0);
    // A quoted field name makes only that field private (RFC 9111, 5.2.2.7).
    expect(await renewed({ "Cache-Control": 'public, private="x-user"' })).toBe(0);
    expect(await renewed({ Expires: past })).toBe(1);
    expect(await renewed({ Expires: "0" })).toBe(1);
    // These directives override Expires (RFC 9111, 5.3).
    expect(await renewed({ Expires: future, "Cache-Control": "max-age=0" })).toBe(1);
    expect(await renewed({ Expires: future, "Cache-Control": "private" })).toBe(1);
    expect(await renewed({ Expires: future, "Cache-Control": "no-cache" })).toBe(1);
  });
});

import { afterEach, describe, expect, test, vi } from "vitest";
import type { Browser } from "./support/browser.js";
import type { Routes } from "./support/servers.js";
import { query, type Site, useSites } from "./support/site.js";

const t = useSites();

afterEach(() => void vi.restoreAllMocks());

async function id(browser: Browser): Promise<string | undefined> {
  return ((await browser.get("/me")).body as { id: string } | null)?.id;
}

/** Something that a request waits for, until the test lets it on. */
function latch(): { passed: Promise<void>; open: () => void } {
  let open = () => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

describe("within one request", () => {
  /** A browser that has signed in as alice, at a site with one page more. */
  async function visit(page: Routes[string]): Promise<Browser> {
    const site = await t.open({
      "/login": (req) => req.rs.create("alice"),
      "/me": (req) => req.rs.get(),
      "/page": page,
    });
    const browser = site.browser();
    await browser.post("/login");
    return browser;
  }

  test("a get that is under way while create signs another user in does not clear the new cookie", async () => {
    for (let round = 0; round < 20; round++) {
      const browser = await visit(async (req) => {
        // The same pipeline: the old session is ended before it is read, or after.
        await Promise.all(round % 2 ? [req.rs.create("bob"), req.rs.get()] : [req.rs.get(), req.rs.create("bob")]);
        return [(await req.rs.get())?.id, req.rs.state];
      });
      expect((await browser.post("/page")).body).toEqual(["bob", "modified"]);
      expect(await id(browser)).toBe("bob");
    }
  });

  test("a set that is under way while create signs another user in is not taken for the new session", async () => {
    for (let round = 0; round < 20; round++) {
      const browser = await visit(async (req) => {
        const set = req.rs.set({ a: 1 });
        const create = req.rs.create("bob");
        await Promise.all(round % 2 ? [set, create] : [create, set]);
        return [(await req.rs.get())?.id, req.rs.state];
      });
      expect((await browser.post("/page")).body).toEqual(["bob", "modified"]);
      expect(await id(browser)).toBe("bob");
    }
  });

  test("after a set that was under way while rotate changed the token, get gives what was set", async () => {
    const browser = await visit(async (req) => {
      await req.rs.get();
      await Promise.all([req.rs.rotate(), req.rs.set({ a: 1 })]);
      return [await req.rs.get(), req.rs.state];
    });
    expect((await browser.post("/page")).body).toMatchObject([{ id: "alice", d: { a: 1 } }, "modified"]);
    expect(await id(browser)).toBe("alice");
  });

  test("a get that is under way while kill signs out leaves the session ended", async () => {
    const browser = await visit(async (req) => {
      await Promise.all([req.rs.kill(), req.rs.get()]);
      return [req.rs.state, await req.rs.get(), req.rs.state];
    });
    const answer = await browser.post("/page");
    expect(answer.body).toEqual(["ended", null, "ended"]);
    expect(answer.cookies).toEqual([expect.stringMatching(/^rs=;/)]);
  });

  test("sets of different keys at once all win", async () => {
    const browser = await visit(async (req) => {
      await Promise.all(Array.from({ length: 20 }, (_, i) => req.rs.set({ [`key${i}`]: i })));
      return Object.keys((await t.rs.get({ app: "webapp", token: `${req.rs.token}` }))?.d ?? {}).length;
    });
    expect((await browser.post("/page")).body).toBe(20);
  });
});

describe("between requests of one browser", () => {
  async function open(gate: Promise<void>): Promise<Site> {
    return t.open({
      "/login": (req) => req.rs.create(query(req, "as")),
      "/logout": (req) => req.rs.kill(),
      "/promote": (req) => req.rs.rotate(),
      "/promote-at-once": (req) => req.rs.rotate({ grace: 0 }),
      "/me": (req) => req.rs.get(),
      "/slow": async (req) => {
        await gate;
        return req.rs.get();
      },
      "/slow-set": async (req) => {
        await gate;
        return req.rs.set({ a: 1 });
      },
    });
  }

  // The cookie would be cleared because the old session is gone, and it is the new one by then.
  test("a request with the old token that ends after create has signed in anew does not sign the browser out", async () => {
    const { passed, open: go } = latch();
    const browser = (await open(passed)).browser();
    await browser.post("/login?as=alice");
    const slow = browser.get("/slow");
    await browser.post("/login?as=bob");
    expect(await id(browser)).toBe("bob");
    go();
    expect((await slow).body).toBeNull();
    expect(await id(browser)).toBe("bob");
  });

  test("a request with the old token never brings the old session back, nor writes to the new one", async () => {
    const { passed, open: go } = latch();
    const browser = (await open(passed)).browser();
    await browser.post("/login?as=alice");
    const slow = browser.post("/slow-set");
    await browser.post("/login?as=bob");
    go();
    expect((await slow).body).toBeNull();
    expect((await browser.get("/me")).body).not.toHaveProperty("d");
    expect((await t.rs.soapp({ app: "webapp", dt: 60 })).sessions.map((one) => one.id)).toEqual(["bob"]);
  });

  test("a request that is under way while another rotates keeps the session, and the browser the new token", async () => {
    const { passed, open: go } = latch();
    const browser = (await open(passed)).browser();
    await browser.post("/login?as=alice");
    const slow = [browser.get("/slow"), browser.post("/slow-set")];
    const { token } = (await browser.post("/promote")).body as { token: string };
    go();
    for (const { body } of await Promise.all(slow)) expect(body).toMatchObject({ id: "alice" });
    expect(browser.token).toBe(token);
  });

  // Its cookie would be cleared, and it is the new one by then.
  test("one that is under way while another rotates without grace gets no session, and the browser stays signed in", async () => {
    const { passed, open: go } = latch();
    const browser = (await open(passed)).browser();
    await browser.post("/login?as=alice");
    const slow = browser.get("/slow");
    await browser.post("/promote-at-once");
    go();
    expect((await slow).body).toBeNull();
    expect(await id(browser)).toBe("alice");
  });

  // What tells of the other sign-in is known for a while only.
  test("one that takes longer than that is remembered leaves the cookie alone", async () => {
    const { passed, open: go } = latch();
    const browser = (await open(passed)).browser();
    await browser.post("/login?as=alice");
    const [old] = (await t.rs.soid({ app: "webapp", id: "alice" })).sessions;
    const slow = browser.get("/slow");
    await browser.post("/login?as=bob");
    await t.db.del(`rs:{webapp}:s:${old?.ref}`);
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + 10_000);
    go();
    expect((await slow).body).toBeNull();
    expect(await id(browser)).toBe("bob");
  });

  test("signing out with an old token that has grace ends the session and its successor", async () => {
    const { passed } = latch();
    const browser = (await open(passed)).browser();
    await browser.post("/login?as=alice");
    const late = browser.copy();
    await browser.post("/promote");
    expect((await late.post("/logout")).body).toEqual({ kill: 1 });
    expect(await id(browser)).toBeUndefined();
  });

  test("two sign-ins at once leave the browser with a session that lives", async () => {
    const { passed } = latch();
    const site = await open(passed);
    for (let round = 0; round < 10; round++) {
      const browser = site.browser();
      await browser.post("/login?as=alice");
      await Promise.all([browser.post("/login?as=bob"), browser.post("/login?as=bob")]);
      expect(await id(browser)).toBe("bob");
      expect(await t.rs.killsoid({ app: "webapp", id: "alice" })).toEqual({ kill: 0 });
    }
  });
});

import { afterEach, describe, expect, test, vi } from "vitest";
import type { Browser } from "./support/browser.js";
import type { Routes } from "./support/servers.js";
import { query, type Site, useSites } from "./support/site.js";

const t = useSites();

afterEach(() => void vi.restoreAllMocks());

async function id(browser: Browser): Promise<string | undefined> {
  return ((await browser.get("/me")).body as { id: string } | null)?.id;
}

/** A gate that a request waits at until the test opens it. */
function latch(): { passed: Promise<void>; open: () => void } {
  let open = () => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

describe("within one request", () => {
  /** Returns a browser that has signed in as alice, on a site with one more page. */
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

  test("get does not clear the new cookie if create runs at the same time", async () => {
    for (let round = 0; round < 20; round++) {
      const browser = await visit(async (req) => {
        // Both calls share a pipeline: the old session is ended before it is read, or after.
        await Promise.all(round % 2 ? [req.rs.create("bob"), req.rs.get()] : [req.rs.get(), req.rs.create("bob")]);
        return [(await req.rs.get())?.id, req.rs.state];
      });
      expect((await browser.post("/page")).body).toEqual(["bob", "modified"]);
      expect(await id(browser)).toBe("bob");
    }
  });

  test("get returns the new session if set and create run at the same time", async () => {
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

  test("get returns the written data if set and rotate run at the same time", async () => {
    const browser = await visit(async (req) => {
      await req.rs.get();
      await Promise.all([req.rs.rotate(), req.rs.set({ a: 1 })]);
      return [await req.rs.get(), req.rs.state];
    });
    expect((await browser.post("/page")).body).toMatchObject([{ id: "alice", d: { a: 1 } }, "modified"]);
    expect(await id(browser)).toBe("alice");
  });

  test("get does not change the state if kill runs at the same time", async () => {
    const browser = await visit(async (req) => {
      await Promise.all([req.rs.kill(), req.rs.get()]);
      return [req.rs.state, await req.rs.get(), req.rs.state];
    });
    const answer = await browser.post("/page");
    expect(answer.body).toEqual(["ended", null, "ended"]);
    expect(answer.cookies).toEqual([expect.stringMatching(/^rs=;/)]);
  });

  test("set keeps all keys of concurrent calls", async () => {
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

  // Otherwise the response would clear the cookie, which holds the new token by then.
  test("does not clear the new cookie in a request with the old token that ends after create", async () => {
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

  test("does not revive the old session or write to the new one with the old token", async () => {
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

  test("keeps the session in a request that runs during rotate, and the new token in the browser", async () => {
    const { passed, open: go } = latch();
    const browser = (await open(passed)).browser();
    await browser.post("/login?as=alice");
    const slow = [browser.get("/slow"), browser.post("/slow-set")];
    const { token } = (await browser.post("/promote")).body as { token: string };
    go();
    for (const { body } of await Promise.all(slow)) expect(body).toMatchObject({ id: "alice" });
    expect(browser.token).toBe(token);
  });

  // Otherwise the response would clear the cookie, which holds the new token by then.
  test("returns no session in a request that runs during rotate without grace, and keeps the browser signed in", async () => {
    const { passed, open: go } = latch();
    const browser = (await open(passed)).browser();
    await browser.post("/login?as=alice");
    const slow = browser.get("/slow");
    await browser.post("/promote-at-once");
    go();
    expect((await slow).body).toBeNull();
    expect(await id(browser)).toBe("alice");
  });

  // The tombstone of the old session expires.
  test("keeps the cookie in a request that takes longer than the tombstone exists", async () => {
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

  test("kill with an old token in its grace ends the rotated session", async () => {
    const { passed } = latch();
    const browser = (await open(passed)).browser();
    await browser.post("/login?as=alice");
    const late = browser.copy();
    await browser.post("/promote");
    expect((await late.post("/logout")).body).toEqual({ kill: 1 });
    expect(await id(browser)).toBeUndefined();
  });

  test("leaves the browser with a live session after two concurrent sign-ins", async () => {
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

import { describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";
import { useDashboards } from "./support/dashboard.js";

const t = useEngine();
const start = useDashboards(t);

describe("the overview", () => {
  test("counts users, sessions, browsers and devices", async () => {
    await t.create({ device: "Firefox on Windows" });
    await t.create({ device: "Safari on iOS" });
    await t.create({ id: "bob", device: "Firefox on Windows" });
    await t.create({ id: "carla" });
    const { text } = await (await start()).visitor().get();
    expect(text).toContain("Active users in the last 5 minutes 3 Sessions: 4");
    expect(text).toContain("Sessions that have not ended 4");
    expect(text).toContain("Firefox 50% Safari 25% Unknown 25%");
    expect(text).toContain("Windows 50% iOS 25% Unknown 25%");
  });

  test("shows the users by the hour of their last activity", async () => {
    for (const [id, hours] of Object.entries({ alice: 0.5, bob: 2.5, carla: 2.9, dora: 30 })) {
      await t.create({ id });
      await t.db.zadd("rs:{webapp}:users", Date.now() - hours * 3600_000, JSON.stringify(id));
    }
    const { text } = await (await start()).visitor().get();
    expect(text).toContain("Hours ago Users 0–1 1 1–2 0 2–3 2 3–4 0");
  });

  test("lists the apps if there are several", async () => {
    await t.create({ app: "shop", id: "bob" });
    const visitor = (await start({ apps: ["webapp", "shop"] })).visitor();
    const list = await visitor.get();
    expect(list.path).toBe("");
    const shop = await visitor.get(list.link(">shop<"));
    expect(shop.path).toBe("shop/");
    expect(shop.text).toContain("Sessions that have not ended 1");
    expect((await visitor.get("other/")).status).toBe(404);
  });

  test("says that nobody is signed in", async () => {
    expect((await (await start()).visitor().get()).text).toContain("Nobody is signed in.");
  });
});

describe("the list of sessions", () => {
  async function createMany(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const { ref } = await t.create({ id: `user-${i}` });
      await t.db.zadd("rs:{webapp}:active", Date.now() - i * 60_000, ref);
    }
  }
  const usersOf = (text: string) => [...text.matchAll(/user-(\d+)/g)].map(([, i]) => Number(i));

  test("goes from page to page, the most recently active session first", async () => {
    await createMany(120);
    const visitor = (await start()).visitor("viewer");
    const seen: number[] = [];
    let path = "webapp/sessions";
    for (let pages = 1; ; pages++) {
      const page = await visitor.get(path);
      seen.push(...usersOf(page.text));
      if (!page.html.includes('rel="next"')) {
        expect(pages).toBe(3);
        break;
      }
      path = page.link('rel="next"');
    }
    expect(seen).toEqual(Array.from({ length: 120 }, (_, i) => i));
  });

  test("begins with the sessions that were unused for an hour", async () => {
    await createMany(63);
    const page = await (await start()).visitor("viewer").get("webapp/sessions?unused=oneHour");
    expect(usersOf(page.text)).toEqual([60, 61, 62]);
  });

  test("refuses an address of another browser", async () => {
    await createMany(51);
    const { visitor } = await start();
    const next = (await visitor().get("webapp/sessions")).link('rel="next"');
    expect((await visitor().get(next)).status).toBe(404);
    expect((await visitor().get("webapp/sessions?unused=toString")).status).toBe(404);
  });
});

describe("a user's page", () => {
  test("shows the sessions with device, address, times and who impersonates", async () => {
    await t.create({ device: "Firefox on Windows", ip: "203.0.113.7" });
    await t.create({ device: "Safari on iOS", ip: "203.0.113.8", actor: "dana@example.com" });
    const { ref } = await t.create({ device: "Edge on macOS" });
    const running = await start({ authorize: () => ({ role: "viewer", actor: 42, ref }) });
    const { text } = await running.visitor().find("alice");
    expect(text).toContain("alice Sessions: 3 Newest first");
    expect(text).toMatch(
      /Edge on macOS You 127\.0\.0\.1 .* UTC now .* UTC Safari on iOS Impersonated by dana@example.com/,
    );
    expect(text).toContain("42 , viewer");
  });

  test("says that a user is signed in nowhere", async () => {
    const page = await (await start()).visitor().find("nobody");
    expect(page.status).toBe(200);
    expect(page.text).toContain("This user is signed in nowhere.");
  });

  test("splits many sessions into pages", async () => {
    for (let i = 0; i < 53; i++) await t.create({ device: `Device ${i}` });
    const visitor = (await start()).visitor("viewer");
    const first = await visitor.find("alice");
    expect(first.text).toContain("Sessions: 53");
    expect(first.text.match(/Device \d+/g)?.[0]).toBe("Device 52");
    const second = await visitor.get(first.link('rel="next"'));
    expect(second.text.match(/Device \d+/g)).toEqual(["Device 2", "Device 1", "Device 0"]);
    expect((await visitor.get(second.link('rel="prev"'))).text).toContain("Device 52");
    expect((await visitor.get(`${first.path}?offset=-1`)).status).toBe(404);
  });

  test("is found for an id of a number, of 128 characters, and with spaces around it", async () => {
    const long = "é".repeat(128);
    await t.create({ id: 42 });
    await t.create({ id: long });
    const visitor = (await start()).visitor();
    expect((await visitor.find("42")).text).toContain("Sessions: 1");
    expect((await visitor.find(` ${long}\n`)).text).toContain("Sessions: 1");
    expect((await visitor.find("é".repeat(129))).status).toBe(404);
    expect((await visitor.find(" ")).status).toBe(404);
  });

  test("is not opened by its address in another browser", async () => {
    await t.create();
    const { visitor } = await start();
    const { path } = await visitor().find("alice");
    expect((await visitor().get(path)).status).toBe(404);
  });
});

describe("a session's page", () => {
  const data = { cart: "three <b>books</b>", admin: true };

  test("shows all fields", async () => {
    const { token, ref } = await t.create({ device: "Firefox on Windows", ttl: 3600, maxAge: null, d: data });
    await t.rs.get({ app: "webapp", token });
    const { text, html } = await (await start()).visitor("viewer").get(`webapp/session/${ref}`);
    for (const part of [
      "User alice",
      "Device Firefox on Windows",
      "Address 127.0.0.1",
      "Idle timeout 1 hour",
      "Prolonged by use Yes",
      "Cookie is kept Until the browser closes",
      "Reads 2",
      "Writes 1",
      `Ref ${ref}`,
    ])
      expect(text).toContain(part);
    expect(html).not.toContain(token);
  });

  test("does not count as a use", async () => {
    const { ref } = await t.create();
    const before = await t.db.get(`rs:{webapp}:s:${ref}`);
    const { visitor } = await start({ data: true });
    for (const role of ["viewer", "admin"] as const) await visitor(role).get(`webapp/session/${ref}`);
    expect(await t.db.get(`rs:{webapp}:s:${ref}`)).toBe(before);
  });

  test.each([
    [true, "viewer", false],
    [true, "support", true],
    [true, "admin", true],
    [false, "admin", false],
  ] as const)("with data %s shows a %s the data: %s", async (option, role, isShown) => {
    const { ref } = await t.create({ d: data });
    const page = await (await start({ data: option })).visitor(role).get(`webapp/session/${ref}`);
    expect(page.text.includes("three <b>books</b>")).toBe(isShown);
    expect(page.html).not.toContain("<b>books");
  });

  test("cuts long data", async () => {
    const { ref } = await t.create({ d: { long: "x".repeat(900_000) } });
    const page = await (await start({ data: true })).visitor().get(`webapp/session/${ref}`);
    expect(page.text).toContain("The data is too long to show.");
    expect(page.html.length).toBeLessThan(30_000);
  });

  test("is found by the ref, and an id that looks like a ref is found first", async () => {
    const { ref } = await t.create({ device: "Firefox on Windows" });
    const visitor = (await start()).visitor();
    expect((await visitor.find(ref)).path).toBe(`webapp/session/${ref}`);
    await t.create({ id: ref });
    expect((await visitor.find(ref)).path).toMatch(/^webapp\/user\//);
  });

  test("says that the session has ended", async () => {
    const { ref } = await t.create();
    await t.rs.kill({ app: "webapp", ref });
    const page = await (await start()).visitor().get(`webapp/session/${ref}`);
    expect(page.status).toBe(404);
    expect(page.text).toContain("This session has ended");
  });

  test("follows a rotated session", async () => {
    const { token, ref } = await t.create();
    const rotated = await t.rs.rotate({ app: "webapp", token, grace: 100 });
    const page = await (await start()).visitor().get(`webapp/session/${ref}`);
    expect(page.text).toContain(`Ref ${rotated?.ref}`);
  });
});

describe("the texts", () => {
  test("may be in another language, with its numbers and times", async () => {
    for (let i = 0; i < 2; i++) await t.create();
    const texts = { lang: "de", title: "Sitzungen", sessionCount: "{count} Sitzungen von <{nobody}>" };
    const page = await (await start({ texts })).visitor().find("alice");
    expect(page.html).toContain('<html lang="de">');
    expect(page.text).toContain("Sitzungen");
    expect(page.text).toContain("2 Sitzungen von <{nobody}>");
    expect(page.text).toContain("jetzt");
  });
});

import { describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";
import { useDashboards } from "./support/dashboard.js";

const t = useEngine();
const start = useDashboards(t);

const count = async (id: string) => (await t.rs.soid({ app: "webapp", id })).sessions.length;

test("ends one session, and tells onAction who, what and why", async () => {
  const { ref } = await t.create({ device: "Safari on iOS" });
  await t.create();
  const { visitor, actions } = await start();
  const visit = visitor("support");
  const user = await visit.find("alice");
  const form = await visit.get(user.link("Safari on iOS, 127.0.0.1"));
  expect(form.text).toContain("End this session");
  const done = await visit.post(form.path, { reason: " phone lost, ticket 4711 " });
  expect(done.path).toMatch(/^webapp\/user\/[\w-]+\?notice=/);
  expect(done.text).toContain("Ended sessions: 1 User alice End all sessions… Sessions: 1");
  expect(actions).toEqual([
    { actor: "dana", action: "kill", app: "webapp", id: "alice", ref, reason: "phone lost, ticket 4711", ended: 1 },
  ]);
  expect(await t.rs.get({ app: "webapp", ref })).toBeNull();
});

test("ends all sessions of a user, and leaves those of others", async () => {
  for (let i = 0; i < 3; i++) await t.create();
  await t.create({ id: "bob" });
  const { visitor, actions } = await start();
  const visit = visitor("support");
  const form = (await visit.find("alice")).link("End all");
  expect((await visit.get(form)).text).toContain("End all sessions of alice");
  expect((await visit.post(form, { reason: "hacked" })).text).toContain("Ended sessions: 3");
  expect([await count("alice"), await count("bob")]).toEqual([0, 1]);
  expect(actions).toEqual([
    { actor: "dana", action: "killsoid", app: "webapp", id: "alice", reason: "hacked", ended: 3 },
  ]);
});

test("ends all sessions of the app only if its name is typed", async () => {
  await t.create();
  await t.create({ id: "bob" });
  await t.create({ app: "shop" });
  const { visitor, actions } = await start({ apps: ["webapp", "shop"] });
  const visit = visitor("admin");
  const form = (await visit.get("webapp/")).link("End all sessions of the app");
  for (const confirm of ["", "shop", "WEBAPP"]) {
    const refused = await visit.post(form, { reason: "leak", confirm });
    expect(refused.text).toContain("The typed name is not webapp. Nothing was ended.");
  }
  expect(actions).toEqual([]);
  expect((await visit.post(form, { reason: "leak", confirm: " webapp" })).text).toContain("Ended sessions: 2");
  expect(actions).toEqual([{ actor: "dana", action: "killall", app: "webapp", reason: "leak", ended: 2 }]);
  expect((await t.rs.soapp({ app: "shop", dt: 60 })).sessions).toHaveLength(1);
});

test("ends a session without a user, such as one of RedisStore before the login", async () => {
  const now = Date.now();
  const ref = "~sid";
  await t.db.set(`rs:{webapp}:s:${ref}`, `${now}\n1\n1\n600\n${now}\n\n\n`, "EX", 600);
  await t.db.zadd("rs:{webapp}:active", now, ref);
  await t.db.zadd("rs:{webapp}:expiry", now + 600_000, `""${ref}`);
  const { visitor, actions } = await start();
  const visit = visitor("support");
  const list = await visit.get("webapp/sessions");
  expect(list.text).toContain("Not signed in");
  const page = await visit.get(list.link("Unknown device"));
  expect(page.text).toContain("Idle timeout 10 minutes");
  const form = await visit.get(list.link("data-dialog"));
  await visit.post(form.path, { reason: "bot" });
  expect(actions).toEqual([{ actor: "dana", action: "kill", app: "webapp", reason: "bot", ended: 1 }]);
  // The id of such a session is half of a key to it.
  for (const { html, path } of [list, page, form]) expect(html + path).not.toContain("sid");
});

test("says that the session had ended already", async () => {
  const { ref } = await t.create();
  const { visitor, actions } = await start();
  const visit = visitor();
  const form = await visit.get(`webapp/session/${ref}/end`);
  await t.rs.kill({ app: "webapp", ref });
  const page = await visit.post(form.path, { reason: "x" });
  expect([page.status, page.text.includes("This session has ended")]).toEqual([404, true]);
  const all = await visit.post((await visit.find("alice")).path.concat("/end"), { reason: "x" });
  expect(all.text).toContain("The session had ended already.");
  expect(actions).toEqual([expect.objectContaining({ action: "killsoid", ended: 0 })]);
});

describe("the reason", () => {
  test("is required if there is an audit log", async () => {
    await t.create();
    const { visitor, actions } = await start();
    const visit = visitor();
    const form = (await visit.find("alice")).link("End all");
    expect((await visit.get(form)).html).toContain('name="reason" required');
    for (const reason of ["", "  "]) expect((await visit.post(form, { reason })).status).toBe(403);
    expect([await count("alice"), actions]).toEqual([1, []]);
  });

  test("is not asked for if nobody would read it", async () => {
    await t.create();
    const visit = (await start({ onAction: undefined })).visitor();
    const form = (await visit.find("alice")).link("End all");
    expect((await visit.get(form)).html).not.toContain("reason");
    expect((await visit.post(form)).text).toContain("Ended sessions: 1");
  });
});

describe("onAction", () => {
  test.each([
    [
      "throws",
      () => {
        throw new Error("disk full");
      },
    ],
    [
      "rejects",
      async () => {
        throw new Error("disk full");
      },
    ],
  ])("that %s does not keep the sessions alive: the page says so, and onError is told", async (_how, onAction) => {
    await t.create();
    const { visitor, errors } = await start({ onAction });
    const visit = visitor();
    const page = await visit.post((await visit.find("alice")).link("End all"), { reason: "x" });
    expect(page.text).toContain("Ended sessions: 1 The audit log could not be written.");
    expect(page.html).not.toContain("disk");
    expect(errors).toEqual([new Error("disk full")]);
    expect(await count("alice")).toBe(0);
  });

  test("is waited for", async () => {
    await t.create();
    let isWritten = false;
    const onAction = async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      isWritten = true;
    };
    const visit = (await start({ onAction })).visitor();
    await visit.post((await visit.find("alice")).link("End all"), { reason: "x" });
    expect(isWritten).toBe(true);
  });

  test("is told of a call that failed, because some sessions may have ended", async () => {
    await t.create();
    const { visitor, actions, errors } = await start();
    const visit = visitor();
    const form = (await visit.find("alice")).link("End all");
    await t.rs.quit();
    const page = await visit.post(form, { reason: "x" });
    expect(page.status).toBe(503);
    expect(actions).toEqual([expect.objectContaining({ action: "killsoid", id: "alice", ended: null })]);
    expect(errors).toEqual([expect.objectContaining({ code: "ERR_UNAVAILABLE" })]);
  });
});

test("a notice cannot be forged", async () => {
  await t.create();
  const { visitor } = await start();
  const visit = visitor();
  const done = await visit.post((await visit.find("alice")).link("End all"), { reason: "x" });
  const notice = /notice=(.*)/.exec(done.path)?.[1];
  expect((await visit.get(`webapp/?notice=${notice}`)).text).toContain("Ended sessions: 1");
  expect((await visitor().get(`webapp/?notice=${notice}`)).text).not.toContain("Ended sessions");
  expect((await visit.get("webapp/?notice=MTAwMA")).status).toBe(200);
});

import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions, type Session } from "../../src/index.js";
import { withCookie } from "../express-session/support/stores.js";
import { useEngine } from "../support/engine.js";
import { toolsOn, useCommand } from "./support/command.js";

const t = useEngine();
useCommand();
const { tool, jsonOf } = toolsOn(() => t.redis);

/** A moment as the table prints it, as a pattern. */
const END = "\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d";

describe("ls", () => {
  test("prints the app's sessions in a table, most recently active first", async () => {
    const { ref } = await t.create({ device: "Firefox on Windows", ip: "203.0.113.7" });
    await sleep(2);
    const bob = await t.create({ id: "bob", ttl: 60 });
    const { code, out, err } = await tool("ls", "webapp");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const [head, first, second, ...rest] = out.trimEnd().split("\n");
    expect(head).toMatch(/^REF +USER +IP +DEVICE +SINCE \(UTC\) +IDLE +TTL +ENDS \(UTC\)$/);
    expect(first).toMatch(new RegExp(`^${bob.ref} +bob +127\\.0\\.0\\.1 .* 60 s +${END}$`));
    expect(second).toMatch(
      new RegExp(`^${ref} +alice +203\\.0\\.113\\.7 +Firefox on Windows +\\d{4}-.* 7200 s +${END}$`),
    );
    expect(rest).toEqual([]);
    expect(head?.indexOf("USER")).toBe(first?.indexOf("bob"));
  });

  test("--json, --dt, --limit and --offset return the same sessions as the engine", async () => {
    for (const id of ["alice", "bob", "carol"]) {
      await t.create({ id });
      await sleep(2);
    }
    const all = (await jsonOf("ls", "webapp")) as { sessions: Session[] };
    expect(all.sessions.map(({ id }) => id)).toEqual(["carol", "bob", "alice"]);
    const some = (await jsonOf("ls", "webapp", "--dt", "60", "--limit", "1", "--offset", "1")) as typeof all;
    // The second command may see one more second of idle time.
    expect(some.sessions).toEqual([{ ...all.sessions[1], idle: expect.any(Number) }]);
  });

  test("--json prints one session per line", async () => {
    const rs = new RedisSessions<object>({ client: t.db, wipe: 0, nested: true });
    const deep = JSON.parse(`${"[".repeat(500)}${"]".repeat(500)}`);
    for (const id of ["alice", "bob"]) await rs.create({ app: "webapp", id, ip: "::1", d: { deep } });
    const { out } = await tool("ls", "webapp", "--json");
    expect(out.length).toBeLessThan(3000);
    expect(out.trimEnd().split("\n")).toHaveLength(4);
    expect(JSON.parse(out).sessions).toMatchObject([{ id: "bob" }, { id: "alice", d: { deep } }]);
  });

  test("prints when each session ends if nobody uses it", async () => {
    const { ref } = await t.create({ ttl: 86_400 });
    const store = new RedisStore({ rs: t.rs, app: "webapp", disableTTL: true });
    await store.set("endless", withCookie({ userId: "alice" }) as never);
    const lines = (await tool("ls", "webapp")).out.trimEnd().split("\n");
    const { expires = 0 } = (await t.rs.get({ app: "webapp", ref, touch: false })) ?? {};
    expect(lines.find((line) => line.startsWith(ref))?.slice(-16)).toBe(
      new Date(expires).toISOString().slice(0, 16).replace("T", " "),
    );
    expect(lines.find((line) => line.startsWith("~endless"))).toMatch(/ never$/);
  });

  test("aligns the columns if letters have a width of two or zero", async () => {
    for (const id of ["alice", "딸기", "山田太郎", "👍😀", "e\u0301va"]) await t.create({ id, ip: "203.0.113.7" });
    const lines = (await tool("ls", "webapp")).out.trimEnd().split("\n");
    // A terminal uses two columns for a wide letter and none for an accent.
    const shown = lines.map((line) => line.replace(/[딸기山田太郎]|👍|😀/gu, "xx").replaceAll("\u0301", ""));
    expect(new Set(shown.slice(1).map((line) => line.indexOf("203.0.113.7")))).toEqual(
      new Set([shown[0]?.indexOf("IP")]),
    );
  });

  test("prints how to list more sessions if there are more", async () => {
    for (const id of ["alice", "bob", "carol"]) {
      await t.create({ id });
      await sleep(2);
    }
    const [, first, second, more, ...rest] = (await tool("ls", "webapp", "--limit", "2")).out.trimEnd().split("\n");
    expect([first, second]).toEqual([expect.stringContaining("carol"), expect.stringContaining("bob")]);
    expect([more, rest]).toEqual(["more: --offset 2", []]);
    for (const args of [
      ["--limit", "3"],
      ["--limit", "2", "--offset", "1"],
    ])
      expect((await tool("ls", "webapp", ...args)).out).not.toContain("more");
    expect((await tool("ls", "webapp", "--limit", "1", "--offset", "1")).out).toContain("more: --offset 2");
  });

  test("removes control characters from values that users choose", async () => {
    const id = "\u001b[2J\u001b]0;owned\u0007\u009b31m\u202eevil\u2028\r\n";
    await t.create({ id, device: "\u001bc\u0085", ip: "\u001b[1m" });
    for (const args of [
      ["ls", "webapp"],
      ["soid", "webapp", id],
      ["ls", "webapp", "--json"],
    ]) {
      const { code, out } = await tool(...args);
      expect(code).toBe(0);
      expect(out).toContain("evil");
      expect(out.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
    }
    expect((await tool("ls", "webapp")).out.trimEnd().split("\n")).toHaveLength(2);
    expect(await jsonOf("soid", "webapp", id)).toMatchObject({ sessions: [{ id }] });
  });
});

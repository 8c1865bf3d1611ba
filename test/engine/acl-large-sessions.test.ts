import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";

const $ = useEngine();
const app = "webapp";

describe("the documented ACL", () => {
  test("permits get, touch and set on sessions of 5 KB and 300 KB", async () => {
    const docs = readFileSync(new URL("../../docs/production.md", import.meta.url), "utf8");
    const rights = /ACL SETUSER sessions (on [^`]*)/.exec(docs)?.[1] ?? "";
    await $.db.acl(
      "SETUSER",
      "sessions",
      "reset",
      ...rights
        .replaceAll("'", "")
        .split(/[\s\\]+/)
        .filter(Boolean),
    );
    const rs = new RedisSessions({ client: $.redis.client({ username: "sessions", password: "secret" }), wipe: 0 });
    for (const length of [5_000, 300_000]) {
      const { token } = await rs.create({ app, id: "alice", ip: "::1", d: { text: "x".repeat(length) } });
      await new Promise((resolve) => setTimeout(resolve, 1100));
      await expect(rs.get({ app, token })).resolves.toMatchObject({ r: 1 });
      await expect(rs.set({ app, token, d: { a: 1 } })).resolves.toMatchObject({ d: { a: 1 } });
    }
  });
});

import type { SessionData } from "express-session";
import { describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { useStores } from "./support/stores.js";

const t = useStores();

/** Copies each session before it is saved, like a wrapper that validates, traces or encrypts sessions. */
class Copying extends RedisStore {
  override set(sid: string, session: SessionData, done?: (error: unknown) => void): Promise<void> & void {
    return super.set(sid, { ...session }, done as (error: unknown) => void) as never;
  }
}

describe("RedisStore with a wrapper that copies sessions in set", () => {
  test("keeps the keys of parallel requests", async () => {
    const site = await t.site({ store: new Copying({ client: t.db }) });
    const browser = site.browser();
    await browser.get("/login/alice");
    const writes = Array.from({ length: 4 }, (_, i) => browser.copy().get(`/gate/set/key${i}/1`));
    await site.gate.waitFor(4);
    site.gate.open();
    await Promise.all(writes);
    const { body } = await browser.get("/me");
    expect(Object.keys(body).filter((key) => key.startsWith("key"))).toHaveLength(4);
  });

  test("does not let a running request recreate an ended session", async () => {
    const store = new Copying({ client: t.db });
    const site = await t.site({ store });
    const browser = site.browser();
    await browser.get("/login/alice");
    const thief = browser.copy();
    const slow = browser.copy().get("/gate/set/color/red");
    await site.gate.waitFor(1);
    await store.killsoid("alice");
    site.gate.open();
    await slow;
    expect((await thief.get("/me")).body).not.toHaveProperty("userId");
  });
});

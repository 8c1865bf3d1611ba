import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Serializer } from "../../src/express-session/index.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

/** Takes 10 ms for each piece, as a service for keys does, and counts the calls under way. */
function slowSerializer() {
  const most = { stringify: 0, parse: 0 };
  const count = { stringify: 0, parse: 0 };
  async function slowly<Result>(name: "stringify" | "parse", work: () => Result): Promise<Result> {
    most[name] = Math.max(most[name], ++count[name]);
    await sleep(10);
    count[name]--;
    return work();
  }
  const serializer: Serializer = {
    stringify: (piece) => slowly("stringify", () => JSON.stringify(piece)),
    parse: (text) => slowly("parse", () => JSON.parse(text)),
  };
  return { serializer, most };
}

function keys(count: number, value: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`key${i}`, value + i]));
}

describe("an asynchronous serializer", () => {
  test("gets all keys of a session at once when it is written, and when it is read", async () => {
    const { serializer, most } = slowSerializer();
    const store = t.store({ serializer });
    await store.set("sid", withCookie(keys(50, 0)));
    expect(await store.get("sid")).toMatchObject(keys(50, 0));
    // The keys and the cookie.
    expect(most).toEqual({ stringify: 51, parse: 51 });
  });

  test("gets all changed keys of a session at once", async () => {
    const { serializer, most } = slowSerializer();
    const store = t.store({ serializer });
    await store.set("sid", withCookie(keys(50, 0)));
    const loaded = await store.get("sid");
    most.stringify = 0;
    await store.set("sid", Object.assign(loaded as never, keys(20, 100)));
    expect(most.stringify).toBe(20);
    expect(await store.get("sid")).toMatchObject({ ...keys(50, 0), ...keys(20, 100) });
  });

  test("gets at most 100 keys at once, and the order of the keys is kept", async () => {
    const { serializer, most } = slowSerializer();
    const store = t.store({ serializer });
    await store.set("sid", withCookie(keys(250, 0)));
    const { cookie, ...data } = (await store.get("sid")) ?? {};
    expect(JSON.stringify(data)).toBe(JSON.stringify(keys(250, 0)));
    expect(most).toEqual({ stringify: 100, parse: 100 });
  });

  test("that fails for several keys fails the call once", async () => {
    const { serializer } = slowSerializer();
    const refuse = async () => {
      await sleep(1);
      throw new Error("no key");
    };
    await expect(
      t.store({ serializer: { ...serializer, stringify: refuse } }).set("sid", withCookie(keys(5, 0))),
    ).rejects.toThrow("no key");
    const store = t.store({ serializer });
    await store.set("sid", withCookie(keys(5, 0)));
    await expect(t.store({ serializer: { ...serializer, parse: refuse } }).get("sid")).rejects.toThrow("no key");
  });
});

import type fastifySession from "@fastify/session";
import session, { type SessionData } from "express-session";
import { describe, expect, expectTypeOf, test } from "vitest";
import {
  type ListedSession,
  RedisStore,
  type RedisStoreOptions,
  type Serializer,
  type StoredData,
} from "../../src/express-session/index.js";
import type { Client, RedisSessions } from "../../src/index.js";
import { useStores, withCookie } from "./support/stores.js";

declare module "express-session" {
  interface SessionData {
    theme?: "dark" | "light";
  }
}

const t = useStores();

describe("types", () => {
  test("RedisStore is a store for express-session and @fastify/session", () => {
    const store = t.store();
    expectTypeOf(store).toExtend<session.Store>();
    expectTypeOf(store).toExtend<fastifySession.SessionStore>();
    expect(store).toBeInstanceOf(session.Store);
    expect(session({ store, secret: "x", resave: false, saveUninitialized: false })).toBeTypeOf("function");
  });

  test("results have the properties that a project adds to SessionData", async () => {
    const store = t.store();
    await store.set("sid", withCookie({ theme: "dark" as const, userId: "alice" }));
    const got = await store.get("sid");
    expectTypeOf(got).toEqualTypeOf<SessionData | null>();
    expectTypeOf(got?.theme).toEqualTypeOf<"dark" | "light" | undefined>();
    expect(got?.theme).toBe("dark");

    const { sessions } = await store.soid("alice");
    expectTypeOf(sessions).toEqualTypeOf<ListedSession[]>();
    expectTypeOf<(typeof sessions)[number]["d"]>().toEqualTypeOf<StoredData>();
    expect(sessions[0]?.d?.theme).toBe("dark");
    expect((await store.all()).map(({ theme }) => theme)).toEqual(["dark"]);
  });

  test("methods return void with a callback, and a promise without", () => {
    expectTypeOf<ReturnType<RedisStore["length"]>>().toEqualTypeOf<Promise<number>>();
    expectTypeOf<ReturnType<RedisStore["ids"]>>().toEqualTypeOf<Promise<string[]>>();
    expectTypeOf<ReturnType<RedisStore["killsoid"]>>().toEqualTypeOf<Promise<{ kill: number }>>();
    const store = t.store();
    const callback = (error: unknown, data?: SessionData | null) => expect([error, data]).toEqual([null, null]);
    expectTypeOf(store.get("nobody", callback)).toEqualTypeOf<void>();
    expect(store.get("nobody", callback)).toBeUndefined();
  });

  test("options have the documented types", () => {
    expectTypeOf<RedisStoreOptions["client"]>().toEqualTypeOf<Client | undefined>();
    expectTypeOf<RedisSessions<{ cart: number }>>().toExtend<NonNullable<RedisStoreOptions["rs"]>>();
    expectTypeOf<RedisSessions>().toExtend<NonNullable<RedisStoreOptions["rs"]>>();
    expectTypeOf<typeof JSON>().toExtend<Serializer>();
    expectTypeOf<RedisStoreOptions["ttl"]>().toEqualTypeOf<number | ((data: SessionData) => number) | undefined>();
    const userId: RedisStoreOptions["userId"] = ({ theme }) => theme;
    expect(new RedisStore({ client: t.db, userId })).toBeInstanceOf(RedisStore);
    // @ts-expect-error unknown option
    expect(() => new RedisStore({ client: t.db, disableTtl: true })).toThrow();
    expect(new RedisStore({ client: t.db, userId: () => 17 })).toBeInstanceOf(RedisStore);
    // @ts-expect-error a user's id is a string or a number
    expect(new RedisStore({ client: t.db, userId: () => true })).toBeInstanceOf(RedisStore);
  });

  test("no result is any", async () => {
    const store = t.store();
    expectTypeOf(await store.all()).not.toBeAny();
    expectTypeOf(await store.soapp(60)).not.toBeAny();
    expectTypeOf((await store.soapp(60)).sessions[0]?.d).toEqualTypeOf<StoredData | undefined>();
    expect(await store.all()).toEqual([]);
  });
});

import type { IncomingMessage } from "node:http";
import { expect, expectTypeOf, test } from "vitest";
import { type Json, RedisSessions, type Session } from "../../src/index.js";
import { type Admin, type AppOf, type RequestSession, sessions, type TenantAdmin } from "../../src/middleware/index.js";
import { SECRET, useSites } from "./support/site.js";

const t = useSites();

interface Shop {
  cart: { sku: string; count: number }[];
  currency: "EUR" | "USD";
}

function shopAuth() {
  const rs = new RedisSessions<Shop>({ client: t.db, wipe: 0 });
  return sessions({ rs, app: "shop", secret: SECRET });
}

test("of returns the engine's type of the data", async () => {
  const auth = shopAuth();
  const site = await t.open(
    {
      "/page": async (req) => {
        const rs = auth.of(req);
        await rs.create("alice", { d: { cart: [], currency: "EUR" } });
        const session = await rs.get();
        expectTypeOf(session).toEqualTypeOf<Session<Shop> | null>();
        expectTypeOf(session?.d?.cart?.[0]?.count).toEqualTypeOf<number | undefined>();
        const devices = await rs.devices();
        expectTypeOf(devices[0]?.current).toEqualTypeOf<boolean | undefined>();
        await rs.set({ cart: [{ sku: "a", count: 1 }], currency: null });
        return rs.get();
      },
    },
    { use: [auth] },
  );
  expect((await site.browser().post("/page")).body).toMatchObject({ d: { cart: [{ sku: "a", count: 1 }] } });
});

test("rejects data of another type at compile time", () => {
  const auth = shopAuth();
  type Rs = ReturnType<typeof auth.of>;
  expectTypeOf<{ currency: "GBP" }>().not.toExtend<Parameters<Rs["set"]>[0]>();
  expectTypeOf<{ currency: "USD" }>().toExtend<Parameters<Rs["set"]>[0]>();
  expectTypeOf<{ d: { cart: string } }>().not.toExtend<NonNullable<Parameters<Rs["create"]>[1]>>();
  expectTypeOf(auth.of).parameter(0).toEqualTypeOf<IncomingMessage>();
  expect(auth).toBeTypeOf("function");
});

test("admin takes an app only if the option app is a function", () => {
  const auth = shopAuth();
  expectTypeOf(auth.admin).toEqualTypeOf<Admin<Shop>>();
  type ByOptions = (options: {
    id: string | number;
    limit?: number | undefined;
    offset?: number | undefined;
  }) => unknown;
  expectTypeOf(auth.admin.soid).toExtend<ByOptions>();
  expectTypeOf(auth.admin.soid).toBeCallableWith(42, { limit: 5 });
  expectTypeOf(auth.admin.killsoid).toBeCallableWith("alice", { except: "ref" });
  const rs = new RedisSessions<Shop>({ client: t.db, wipe: 0 });
  const tenants = sessions({ rs, app: (_req: IncomingMessage) => "blue", secret: SECRET });
  expectTypeOf(tenants.admin).toEqualTypeOf<TenantAdmin<Shop>>();
  expectTypeOf(tenants.admin.soid)
    .parameter(0)
    .toEqualTypeOf<{ app: string; id: string | number; limit?: number | undefined; offset?: number | undefined }>();
  expectTypeOf<(req: IncomingMessage) => Promise<string | undefined>>().toExtend<AppOf>();
  expect(tenants.admin.killall).toBe(rs.killall);
  expectTypeOf(auth.admin.killall).parameters.toEqualTypeOf<[]>();
});

test("defaults the data to any JSON in req.rs, and to primitives in the engine", () => {
  expectTypeOf<Express.Request["rs"]["get"]>().returns.toEqualTypeOf<Promise<Session<Record<string, Json>> | null>>();
  const rs = new RedisSessions({ client: t.db, wipe: 0 });
  expectTypeOf(rs).toEqualTypeOf<RedisSessions<Record<string, string | number | boolean | null>>>();
  const auth = sessions({ rs, app: "webapp", secret: SECRET });
  expectTypeOf(auth.of).returns.toEqualTypeOf<RequestSession<Record<string, Json>>>();
  expectTypeOf(auth.admin).toEqualTypeOf<Admin<Record<string, Json>>>();
  expect(rs).toBeInstanceOf(RedisSessions);
});

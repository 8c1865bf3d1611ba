import { expect, test } from "vitest";
import { useSites } from "./support/site.js";

const t = useSites();

test("admin calls the engine's methods for its own app only", async () => {
  const { admin } = t.auth();
  const create = (app: string, id: string) => t.rs.create({ app, id, ip: "::1" });
  const [first, second, third] = [
    await create("webapp", "alice"),
    await create("webapp", "alice"),
    await create("webapp", "bob"),
  ];
  const foreign = await create("other", "alice");

  expect((await admin.soid({ id: "alice" })).sessions.map(({ ref }) => ref).sort()).toEqual(
    [first.ref, second.ref].sort(),
  );
  expect((await admin.soapp({ dt: 60 })).sessions).toHaveLength(3);
  expect((await admin.soapp({ dt: 60, limit: 1, offset: 2 })).sessions).toHaveLength(1);
  expect((await admin.soapp({ deltaTime: 60, offset: 3 })).sessions).toEqual([]);
  expect(await admin.activity({ dt: 60 })).toEqual({ activity: 2 });
  expect(await admin.kill({ ref: foreign.ref })).toEqual({ kill: 0 });
  expect(await admin.kill({ ref: third.ref })).toEqual({ kill: 1 });
  expect(await admin.kill({ token: third.token })).toEqual({ kill: 0 });
  expect(await admin.killsoid({ id: "alice", except: second.ref })).toEqual({ kill: 1 });
  expect(await admin.killall()).toEqual({ kill: 1 });
  expect((await t.rs.soapp({ app: "other", dt: 60 })).sessions).toHaveLength(1);
});

test("admin changes and prolongs sessions of its own app, with any JSON as data", async () => {
  const { admin } = t.auth();
  const { ref, token } = await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
  const foreign = await t.rs.create({ app: "other", id: "alice", ip: "::1" });
  const roles = { roles: ["editor"] } as never;
  expect(await admin.set({ ref, d: roles, touch: false })).toMatchObject({ w: 2, d: { roles: ["editor"] } });
  expect(await admin.set({ ref: foreign.ref, d: roles })).toBeNull();
  expect(await admin.increment({ ref, key: "n", by: 2 })).toEqual({ value: 2, applied: true });
  expect(await admin.increment({ ref: foreign.ref, key: "n" })).toBeNull();
  expect(await admin.setAll("alice", { roles: [] } as never)).toEqual({ set: 1 });
  expect((await t.rs.get({ app: "webapp", ref }))?.d).toEqual({ roles: [], n: 2 });
  expect(await admin.setAll({ id: "alice", d: { roles: ["admin"] } as never })).toEqual({ set: 1 });
  expect((await t.rs.get({ app: "webapp", ref }))?.d).toEqual({ roles: ["admin"], n: 2 });
  expect(await t.rs.get({ app: "other", ref: foreign.ref })).not.toHaveProperty("d");
  expect(await admin.touch({ token, ttl: 60 })).toMatchObject({ ref, ttl: 60 });
  expect(await admin.touch({ ref: foreign.ref })).toBeNull();
});

test("admin throws invalidValue if the options name another app", async () => {
  const { admin } = t.auth();
  await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
  await t.rs.create({ app: "other", id: "alice", ip: "::1" });
  const elsewhere = { app: "other", id: "alice", dt: 60 };
  const refused = { name: "invalidValue", message: expect.stringContaining('admin is for the app "webapp"') };
  await expect(admin.soid(elsewhere)).rejects.toMatchObject(refused);
  await expect(admin.soapp(elsewhere)).rejects.toMatchObject(refused);
  await expect(admin.killsoid(elsewhere)).rejects.toMatchObject(refused);
  const killall = admin.killall as (options: object) => Promise<unknown>;
  await expect(killall(elsewhere)).rejects.toMatchObject(refused);
  await expect(killall({ id: "alice" })).rejects.toMatchObject({ message: expect.stringContaining("killall has no") });
  for (const app of ["webapp", "other"]) {
    expect((await t.rs.soapp({ app, dt: 60 })).sessions).toHaveLength(1);
  }
  const here = { app: "webapp", id: "alice" };
  expect(await admin.killsoid(here)).toEqual({ kill: 1 });
});

test("admin rejects with the engine's validation errors", async () => {
  const { admin } = t.auth();
  await expect(admin.soid({ id: "" })).rejects.toMatchObject({ name: "missingParameter", message: "No id supplied" });
  await expect(admin.soapp({ dt: 5 })).rejects.toMatchObject({ name: "invalidValue" });
  await expect(admin.kill({ token: "short" })).rejects.toMatchObject({ name: "invalidFormat" });
});

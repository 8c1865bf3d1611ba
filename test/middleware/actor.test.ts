import { expect, test } from "vitest";
import type { Routes } from "./support/servers.js";
import { outcome, query, useSites } from "./support/site.js";

const t = useSites();

const routes: Routes = {
  "/login": (req) => req.rs.create(query(req, "as")),
  "/impersonate": (req) => outcome(req.rs.create(query(req, "id"), { actor: query(req, "actor") })),
  "/me": (req) => req.rs.get(),
  "/confirm": (req) => outcome(req.rs.confirm()),
  "/logout": (req) => req.rs.kill(),
};

test("create with actor signs in for an hour, whatever the limits of the middleware are", async () => {
  const auth = t.auth({ ttl: 30 * 86_400, maxPerUser: 1 });
  const site = await t.open(routes, { use: [auth] });
  const [alice, carol] = [site.browser(), site.browser()];
  await alice.post("/login?as=alice");
  await carol.post("/login?as=carol");
  await carol.post("/impersonate?id=alice&actor=carol");
  expect((await carol.get("/me")).body).toMatchObject({ id: "alice", actor: "carol", ttl: 3600, no_resave: true });
  // The user's own session was not ended to make room.
  expect((await alice.get("/me")).body).toMatchObject({ id: "alice" });
  expect((await t.rs.soid({ app: "webapp", id: "carol" })).sessions).toEqual([]);
});

test("an impersonated session cannot impersonate again, and is kept", async () => {
  const site = await t.open(routes);
  const carol = site.browser();
  await carol.post("/login?as=carol");
  await carol.post("/impersonate?id=admin&actor=carol");
  expect((await carol.post("/impersonate?id=bob&actor=admin")).body).toMatchObject({
    error: "impersonated",
    status: 403,
  });
  expect((await carol.get("/me")).body).toMatchObject({ id: "admin", actor: "carol" });
});

test("required with within refuses an impersonated session with 403, and confirm does not help", async () => {
  const auth = t.auth();
  const keys: Routes = { "/keys": [auth.required({ within: 900, redirect: "/confirm" }), () => "keys"] };
  const site = await t.open({ ...routes, ...keys }, { use: [auth] });
  const carol = site.browser();
  await carol.post("/impersonate?id=alice&actor=carol");
  expect(await carol.get("/keys")).toMatchObject({
    status: 403,
    text: "Not allowed in an impersonated session\n",
  });
  expect((await carol.post("/confirm")).body).toMatchObject({ error: "impersonated", status: 403 });
  expect((await carol.get("/keys")).status).toBe(403);
});

test("a second middleware with a cookie of its own keeps the actor's session", async () => {
  const auth = t.auth();
  const impersonation = t.auth({ cookie: { name: "rs-as" } });
  const site = await t.open(
    {
      ...routes,
      "/impersonate": (req) => impersonation.of(req).create(query(req, "id"), { actor: "carol" }),
      "/back": (req) => impersonation.of(req).kill(),
      "/both": async (req) => [(await auth.of(req).get())?.id, (await impersonation.of(req).get())?.id],
    },
    { use: [impersonation, auth] },
  );
  const carol = site.browser();
  await carol.post("/login?as=carol");
  await carol.post("/impersonate?id=alice");
  expect((await carol.get("/both")).body).toEqual(["carol", "alice"]);
  expect((await carol.post("/back")).body).toEqual({ kill: 1 });
  expect((await carol.get("/both")).body).toEqual(["carol", null]);
});

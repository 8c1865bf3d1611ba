import { expect, test } from "vitest";
import { useEngine } from "../support/engine.js";

const t = useEngine();

test("calls that are made together reach Redis in the order in which they were made", async () => {
  const { token } = await t.create();
  const writes = Array.from({ length: 50 }, (_, n) => t.rs.set({ app: "webapp", token, d: { n } }));
  const written = await Promise.all(writes);
  expect(written.map((session) => session?.d?.n)).toEqual(Array.from({ length: 50 }, (_, n) => n));
  expect(written.map((session) => session?.w)).toEqual(Array.from({ length: 50 }, (_, n) => n + 2));
});

test("a call does not overtake one that waits, though no other is on its way any more", async () => {
  const { token } = await t.create({ d: { n: 0 } });
  const first = t.rs.get({ app: "webapp", token });
  // It waits for the end of the round; the first may be answered before that.
  const second = t.rs.set({ app: "webapp", token, d: { n: 1 } });
  await first;
  const third = await t.rs.get({ app: "webapp", token });
  expect(third?.d).toEqual({ n: 1 });
  await second;
});

test("an error of one call is that call's alone", async () => {
  const { token } = await t.create();
  const bad = await t.create({ id: "bob" });
  await t.db.set(`rs:{webapp}:s:${bad.ref}`, "no hash");
  const answers = await Promise.allSettled(
    [token, bad.token, token].map((one) => t.rs.get({ app: "webapp", token: one })),
  );
  expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
});

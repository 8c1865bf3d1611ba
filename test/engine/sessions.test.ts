import { expect, test } from "vitest";
import { useEngine } from "../support/engine.js";

const t = useEngine();

test("sessions() returns every session of the app once, most recently active first", async () => {
  const created = await Promise.all(
    Array.from({ length: 250 }, (_, i) => t.rs.create({ app: "webapp", id: `user${i}`, ip: "127.0.0.1" })),
  );
  await t.db.zadd("rs:{webapp}:active", Date.now() + 5000, created[7]?.ref ?? "");
  const met: string[] = [];
  for await (const { ref } of t.rs.sessions({ app: "webapp", dt: 60 })) met.push(ref);
  expect(met[0]).toBe(created[7]?.ref);
  expect(met.toSorted()).toEqual(created.map(({ ref }) => ref).toSorted());
});

test("sessions() reads no more than is iterated, a hundred at a time", async () => {
  await Promise.all(
    Array.from({ length: 250 }, (_, i) => t.rs.create({ app: "webapp", id: `user${i}`, ip: "127.0.0.1" })),
  );
  const commands = await t.redis.watch(async () => {
    for await (const _ of t.rs.sessions({ app: "webapp", dt: 60 })) break;
  });
  expect(commands.length).toBeLessThanOrEqual(4);
});

test("sessions() refuses bad input at once, and works as an unbound function", () => {
  const { sessions } = t.rs;
  expect(() => sessions({ app: "x", dt: 60 })).toThrow("Invalid app format");
  expect(() => sessions(undefined as never)).toThrow("No app supplied");
  expect(() => sessions({ app: "webapp", dt: 1 })).toThrow("dt must be a positive integer >= 10");
});

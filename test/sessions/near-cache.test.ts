import { expect, test, vi } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { AppRegistry } from "../../src/sessions/app-registry.js";
import { AppSessions } from "../../src/sessions/app-sessions.js";
import { Keys } from "../../src/sessions/keys.js";
import { NearCache } from "../../src/sessions/near-cache.js";
import * as operations from "../../src/sessions/operations.js";
import { useEngine } from "../support/engine.js";

const t = useEngine({ events: true });

test("keeps nothing while a change is under way, whatever the order of the replies", async () => {
  const { connection } = internalsOf(t.rs);
  const cache = new NearCache(connection, 30, 10);
  const sessions = new AppSessions(
    connection,
    new Keys("rs", "webapp", 0),
    new AppRegistry(connection, "rs", 1).of("webapp"),
    () => undefined,
    cache,
  );
  const { ref } = await t.create();
  await vi.waitFor(async () => {
    await sessions.get(ref, true);
    expect(cache.status.size).toBe(1);
  });

  const ends: (() => void)[] = [];
  const changes = [1, 2].map(() => cache.write([ref], () => new Promise<void>((resolve) => ends.push(resolve))));
  expect(cache.status.size).toBe(0);
  await sessions.get(ref, true);
  expect(cache.status.size).toBe(0);
  const overlapping = sessions.get(ref, true);
  for (const end of ends) end();
  await Promise.all(changes);
  await overlapping;
  expect(cache.status.size).toBe(0);
  await sessions.get(ref, true);
  expect(cache.status.size).toBe(1);
  await cache.close();
});

test("learns of each operation that announces a change of an existing session", () => {
  const announcing = Object.entries(operations).filter(
    ([, operation]) => typeof operation === "object" && "script" in operation && "announcing" in operation.script,
  );
  expect(announcing.length).toBeGreaterThan(10);
  // No session that these two change can be in a cache: `create` writes a new one, and those that `sweep` removes have ended.
  const silent = announcing.filter(([, operation]) => !("changes" in (operation as object))).map(([name]) => name);
  expect(silent.sort()).toEqual(["create", "sweep"]);
});

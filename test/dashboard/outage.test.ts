import { expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { useDashboards } from "./support/dashboard.js";

const t = useEngine();
const start = useDashboards(t);

test("a page says with 503 that Redis is away, and works again when it is back", async () => {
  const rs = new RedisSessions({ client: t.redis.client({ retryStrategy: () => 20 }), wipe: 0, timeout: 500 });
  const { ref } = await t.create();
  const { visitor, errors } = await start({ rs });
  const visit = visitor();
  const user = (await visit.find("alice")).path;
  await t.redis.kill();
  for (const path of ["webapp/", "webapp/sessions", user, `webapp/session/${ref}`]) {
    const page = await visit.get(path);
    expect([page.status, page.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(page.text).toContain("Redis cannot be reached Nothing can be shown or ended now. Nobody was signed out.");
    expect(page.text).toContain("Try again");
    expect(page.html).not.toMatch(/127\.0\.0\.1|ECONN/);
  }
  expect(errors).toHaveLength(4);
  await t.redis.start();
  await expect.poll(async () => (await visit.get(user)).status, { timeout: 10_000 }).toBe(200);
});

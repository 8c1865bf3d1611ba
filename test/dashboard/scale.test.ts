import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { useEngine } from "../support/engine.js";
import { useDashboards, type Visitor } from "./support/dashboard.js";

const t = useEngine();
const start = useDashboards(t);

const PLANT = readFileSync(new URL("./support/plant.lua", import.meta.url), "utf8");

/** Writes sessions `from` to `to`, ten for each user, all last used at another second. */
async function plant(from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += 5000) {
    await t.db.eval(PLANT, 0, "rs:{webapp}:", at, Math.min(to, at + 5000), Date.now());
  }
}

/** The commands of each page, in the order in which they are sent. */
async function commandsOf(visit: Visitor, sessions: number): Promise<Record<string, string[]>> {
  const user = (await visit.find("user-3")).path;
  const deep = (await visit.get("webapp/sessions?unused=oneHour")).link('rel="next"');
  const commands: Record<string, string[]> = {};
  for (const path of ["webapp/", "webapp/sessions", "webapp/sessions?unused=oneHour", deep, user]) {
    let text = "";
    const sent = await t.redis.watch(async () => {
      const page = await visit.get(path);
      text = page.text;
    });
    commands[path === deep ? "a later page" : path] = sent.map(([name]) => name?.toLowerCase() as string);
    if (path === "webapp/") expect(text.replaceAll(",", "")).toContain(`that have not ended ${sessions}`);
  }
  return commands;
}

test("every page takes the same commands with 4,000 and with 40,000 sessions, also a deep one", async () => {
  const visit = (await start()).visitor("viewer");
  await plant(0, 4000);
  // As the first session of an app does. Otherwise each page checks whether the app has shards.
  await t.db.zadd("rs:apps", Date.now(), "webapp");
  await t.rs.soapp({ app: "webapp", dt: 10, limit: 1 });
  // The first run also loads the scripts.
  await commandsOf(visit, 4000);
  const few = await commandsOf(visit, 4000);
  await plant(4000, 40_000);
  const many = await commandsOf(visit, 40_000);
  expect(many).toEqual(few);
  expect(Object.values(few).map((commands) => commands.length)).toEqual([37, 3, 3, 3, 3]);
}, 60_000);

import type { Browser } from "./browser.js";
import type { Site } from "./site.js";

/** What a request may do while its session is ended. */
export const UNDER_WAY = ["/me", "/set/color/red", "/delete/note", "/push/tea", "/save/color/blue", "/reload"];

/** Ends the session of `victim`; `other` is another tab of the same browser. */
export type End = (victim: { sid: string; user: string; other: Browser }) => Promise<unknown>;

let users = 0;

/**
 * Logs a user in, ends the session while requests that have loaded it wait, and lets them continue. Returns how often the
 * old cookie still opens a session.
 */
export async function revivals(site: Site, end: End, rounds = 1, paths = UNDER_WAY): Promise<number> {
  let revived = 0;
  for (let round = 0; round < rounds; round++) {
    const user = `user${users++}`;
    const browser = site.browser();
    await browser.get(`/login/${user}`);
    await browser.get("/set/note/hello");
    const { sid } = browser;
    const thief = browser.copy();
    const tabs = paths.map(() => browser.copy());

    const under = paths.map((path, i) => tabs[i]?.get(`/gate${path}`));
    await site.gate.waitFor(paths.length);
    await end({ sid, user, other: browser.copy() });
    site.gate.open();
    await Promise.all(under);

    const { body } = await thief.get("/me");
    if (body.userId !== undefined || body.note !== undefined || body.color !== undefined) revived++;
  }
  return revived;
}

/** Sends eight parallel requests that each write their own key. Returns how many of `8 * rounds` keys are lost. */
export async function lostKeys(site: Site, rounds: number): Promise<number> {
  const keys = Array.from({ length: 8 }, (_, i) => `key${i}`);
  let lost = 0;
  for (let round = 0; round < rounds; round++) {
    const browser = site.browser();
    await browser.get("/login/alice");
    await Promise.all(keys.map((key) => browser.get(`/set/${key}/${round}`)));
    const { body } = await browser.get("/me");
    lost += keys.filter((key) => body[key] !== `${round}`).length;
  }
  return lost;
}

/** All eight settings of express-session that decide when it writes. */
export const SETTINGS = [true, false].flatMap((resave) =>
  [true, false].flatMap((rolling) =>
    [true, false].map((saveUninitialized) => ({ resave, rolling, saveUninitialized })),
  ),
);

import type { IncomingMessage } from "node:http";
import { checkApp } from "../engine/checks.js";
import { type AnyRedisSessions, anEngine } from "../engine/engine.js";
import { OPTIONS_OF_ENGINE } from "../engine/options.js";
import { invalidValue } from "../errors.js";
import { aBoolean, aFunction, anObject, checkOptions, type OptionsOwner, type Rule } from "../util/rules.js";
import { type DashboardTexts, TEXTS } from "./texts.js";

/**
 * What a person may do. "viewer" sees who is signed in, but no data. "support" also ends sessions of a user, and sees data if
 * `data` is true. "admin" also ends all sessions of an app.
 */
export type DashboardRole = "viewer" | "support" | "admin";

/** Who uses the dashboard. */
export interface DashboardGrant {
  /** What the person may do. */
  role: DashboardRole;
  /** The person's id, for the audit log: 1 to 128 characters, or a safe integer. */
  actor: string | number;
  /** The ref of the person's own session, which the lists then mark. Default: none is marked. */
  ref?: string | undefined;
}

/**
 * A function that decides who may use the dashboard. Null, undefined and false refuse the request with 403, and so does an
 * error. Its parameter may have a narrower type, such as Express's Request.
 */
export type DashboardAuthorize = {
  /** Returns the person's role and id, or null. */
  of(
    req: IncomingMessage,
  ): DashboardGrant | null | undefined | false | Promise<DashboardGrant | null | undefined | false>;
}["of"];

/** Something that a person did in the dashboard. */
export interface DashboardAction {
  /** Who did it: `actor` of the grant, as text. */
  actor: string;
  /** What was done: one session ended, all sessions of a user, or all of the app. */
  action: "kill" | "killsoid" | "killall";
  /** The app whose sessions were ended. */
  app: string;
  /** The user whose sessions were ended. Absent for `killall`, and for a session without a user. */
  id?: string;
  /** The session that was ended. Only for `kill`. Absent for a session of RedisStore, whose ref may contain its id. */
  ref?: string;
  /** Why, in the person's words: 1 to 500 characters. */
  reason: string;
  /** How many sessions were ended. Null if the call failed: some may have ended. */
  ended: number | null;
}

/** A function that writes the audit log. Its second parameter may have a narrower type, such as Express's Request. */
export type DashboardLog = {
  /** Writes an action to the log. */
  of(action: DashboardAction, req: IncomingMessage): void | Promise<unknown>;
}["of"];

/** Options of `dashboard`. A misspelt or invalid option throws `invalidValue`. */
export interface DashboardOptions {
  /** The engine whose sessions are shown. For sessions of RedisStore: an engine with the same client. */
  rs: AnyRedisSessions;
  /** The apps to show, at least one. For sessions of RedisStore: the app of the store, see docs/dashboard.md. */
  apps: readonly string[];
  /** Who may use the dashboard, and what they may do. There is no default. */
  authorize: DashboardAuthorize;
  /** Whether the roles "support" and "admin" see the data of sessions. Default false. */
  data?: boolean | undefined;
  /**
   * Called after sessions were ended. The page waits for it. If it fails, the page says that the audit log could not be
   * written, and `onError` is called. With this option, the forms require a reason. Default: nothing is logged.
   */
  onAction?: DashboardLog | undefined;
  /**
   * Called with an error that the page does not show: of Redis, of `authorize`, of `onAction`, or a bug. Default: prints the
   * error's name and message with console.error.
   */
  onError?: { of(error: unknown, req: IncomingMessage): void }["of"] | undefined;
  /** Texts in another language or in your own words. Default: English. */
  texts?: Partial<DashboardTexts> | undefined;
}

const DASHBOARD: OptionsOwner = {
  name: "dashboard",
  call: 'app.use("/admin/sessions", dashboard({ rs, apps: ["webapp"], authorize }))',
  elsewhere: {
    ...OPTIONS_OF_ENGINE,
    app: 'Pass a list: apps: ["webapp"]',
    store: "Pass rs, an engine with the store's client, and the store's app",
  },
};

const aText: Rule = { be: "a string", test: (value) => typeof value === "string" };

const TEXT_RULES = {
  ...(Object.fromEntries(Object.keys(TEXTS).map((name) => [name, aText])) as { [Name in keyof DashboardTexts]: Rule }),
  lang: { be: 'a language tag, such as "en"', test: isLanguage, isText: true },
};

function isLanguage(value: unknown): boolean {
  try {
    return typeof value === "string" && Intl.getCanonicalLocales(value).length === 1;
  } catch {
    return false;
  }
}

/** @throws SessionError `invalidValue` for a missing, misspelt or bad option */
export function checkDashboardOptions(options: DashboardOptions): void {
  checkOptions(DASHBOARD, options, {
    rs: anEngine,
    apps: { be: "a list of apps, at least one", test: (apps) => Array.isArray(apps) && apps.length > 0 },
    authorize: { be: "a function of the request that returns { role, actor } or null", test: aFunction.test },
    data: aBoolean,
    onAction: aFunction,
    onError: aFunction,
    texts: anObject,
  });
  const { rs, apps, authorize, texts = {} } = options;
  if (rs === undefined) throw invalidValue("dashboard needs rs, an engine: new RedisSessions(…)");
  if (apps === undefined) throw invalidValue('dashboard needs apps: ["webapp"]');
  if (authorize === undefined) {
    throw invalidValue(
      "dashboard needs authorize, a function of the request",
      'it returns { role: "support", actor: req.user.id }, or null to refuse the request',
    );
  }
  for (const app of apps) checkApp(app);
  checkOptions<Partial<DashboardTexts>>("texts", texts, TEXT_RULES);
}

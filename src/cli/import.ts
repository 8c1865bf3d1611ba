import { checkApp } from "../engine/checks.js";
import type { RedisSessions } from "../engine/engine.js";
import { invalidValue } from "../errors.js";
import type { RedisStoreOptions } from "../express-session/options.js";
import type { ImportCounts, Imported, ImportOptions } from "../types.js";
import { count } from "./print.js";
import { Progress, stopSignal } from "./progress.js";

/** The flags of `import` that say what to import. */
export interface ImportFlags {
  from: "connect-redis" | "redis-sessions";
  app?: string;
  dryRun?: boolean;
  /** For redis-sessions. */
  fromNamespace?: string;
  /** For connect-redis, as the options of RedisStore. */
  prefix?: string;
  userId?: string;
  ttl?: number;
  disableTtl?: boolean;
  hashIds?: boolean;
}

/** Imports the sessions of another package until all are imported or a signal arrives. */
export async function importSessions(rs: RedisSessions, flags: ImportFlags): Promise<Imported> {
  const progress = new Progress();
  const options = {
    dryRun: flags.dryRun,
    onProgress: (counts: ImportCounts) => progress.show(inWords(counts)),
    signal: stopSignal(),
  };
  try {
    return await (flags.from === "connect-redis"
      ? fromConnectRedis(rs, flags, options)
      : fromRedisSessions(rs, flags, options));
  } catch (error) {
    progress.fail("run the command again to import the rest");
    throw error;
  } finally {
    progress.end();
  }
}

function fromRedisSessions(rs: RedisSessions, flags: ImportFlags, options: ImportOptions): Promise<Imported> {
  const { app = "", fromNamespace } = flags;
  refuse(flags, ["prefix", "userId", "ttl", "disableTtl", "hashIds"]);
  return rs.importSessions({ app, from: "redis-sessions", namespace: fromNamespace, ...options });
}

async function fromConnectRedis(rs: RedisSessions, flags: ImportFlags, options: ImportOptions): Promise<Imported> {
  refuse(flags, ["fromNamespace"]);
  const { prefix = "sess:", userId, ttl, disableTtl, hashIds } = flags;
  const { RedisStore, appOfPrefix } = await importStore();
  const app = flags.app ?? appOfPrefix(prefix);
  if (flags.app !== undefined) checkApp(app);
  else if (app.startsWith("=")) {
    throw invalidValue(
      `No app supplied, and the prefix ${JSON.stringify(prefix)} names none`,
      "pass --app if your RedisStore has the options rs and app; otherwise call its importSessions()",
    );
  }
  const store = new RedisStore({ rs, app, prefix, ttl, disableTTL: disableTtl, hashIds, ...userIdOption(userId) });
  return store.importSessions(options);
}

/** Reads the user's id at a path such as `passport.user`. */
function userIdOption(path: string | undefined): Pick<RedisStoreOptions, "userId"> {
  if (path === undefined) return {};
  const names = path.split(".");
  return {
    userId: (session) => {
      let value: unknown = session;
      for (const name of names) value = Object(value)[name];
      return value as string | number | undefined;
    },
  };
}

/** @throws SessionError `invalidValue` for a flag that belongs to the import from the other package */
function refuse(flags: ImportFlags, names: readonly (keyof ImportFlags)[]): void {
  const name = names.find((name) => flags[name] !== undefined);
  if (name === undefined) return;
  const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw invalidValue(`${flag} does not apply to --from ${flags.from}`);
}

/** Imports the store only when it is needed, because express-session is an optional peer dependency. */
async function importStore() {
  try {
    const [{ RedisStore }, { appOfPrefix }] = await Promise.all([
      import("../express-session/store.js"),
      import("../express-session/options.js"),
    ]);
    return { RedisStore, appOfPrefix };
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new Error("import --from connect-redis needs express-session: npm install express-session");
  }
}

/** The result in words, one line for each count that is not zero. */
export function summary(
  { complete, imported, expired, ended, present, damaged }: Imported,
  flags: ImportFlags,
): string {
  const { dryRun = false, from } = flags;
  const lines = [`${count(imported, "session")} ${dryRun ? "would be imported" : "imported"}`];
  if (present > 0) lines.push(`${present} skipped: already here`);
  if (expired > 0) lines.push(`${expired} skipped: expired`);
  if (ended > 0) lines.push(`${ended} skipped: ended meanwhile`);
  if (damaged > 0) lines.push(`${damaged} left where they are: not sessions that the package wrote`);
  if (complete && imported + expired + ended + present + damaged === 0) {
    lines.push(`none found: check ${from === "connect-redis" ? "--prefix" : "--app and --from-namespace"}`);
  }
  if (!complete) lines.push("stopped: run the command again to import the rest");
  return lines.join("\n");
}

function inWords({ imported, expired, ended, present, damaged }: ImportCounts): string {
  return `${imported} imported, ${expired + ended + present} skipped, ${damaged} left`;
}

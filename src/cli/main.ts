#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { isRef, whichOf } from "../engine/checks.js";
import type { RedisSessions } from "../engine/engine.js";
import { invalidValue, isRefusal, type SessionError } from "../errors.js";
import { RESHARD_WAIT } from "../sessions/app-registry.js";
import { SHARD_COUNTS } from "../sessions/shard.js";
import type { DefaultData, SessionList, ShardCount } from "../types.js";
import { reasonOf } from "../util/describe-error.js";
import { readKeys } from "./api-keys.js";
import { openEngine, type RedisFlags } from "./connect.js";
import { type ImportFlags, importSessions, summary } from "./import.js";
import { confirm, count, json, print, table } from "./print.js";
import { type ReshardFlags, reshard, summary as reshardSummary } from "./reshard.js";
import { serve } from "./serve.js";

interface Flags extends RedisFlags {
  json?: boolean;
}

interface Page {
  limit: number;
  offset: number;
}

const program = new Command("ioredis-sessions")
  .description("Serves, lists and ends the sessions in Redis.")
  .version(readVersion())
  .showHelpAfterError("(see --help)")
  .configureOutput({ writeOut: print })
  .exitOverride();

program
  .command("serve")
  .description("serve the REST interface")
  .addOption(new Option("--port <port>", "port to listen on").env("RS_PORT").default(8101).argParser(port))
  .option("--host <host>", "address to listen on", "127.0.0.1")
  .option(
    "--key-file <file>",
    "API keys, one on each line, optionally with apps=a,b, read-only and a # comment (or RS_API_KEYS: key,key)",
  )
  .option("--nested", "accept any JSON as data values, not only strings, numbers, booleans and null")
  .addOption(redisOption())
  .addOption(clusterOption())
  .addOption(namespaceOption())
  .addOption(eventsOption())
  .addHelpText("after", "\nRS_LOGLEVEL=none logs only the start and the end.")
  .action(async (flags: RedisFlags & { port: number; host: string; keyFile?: string; nested?: boolean }) => {
    const keys = readKeys(flags.keyFile);
    const log = process.env.RS_LOGLEVEL !== "none";
    const { rs, close } = await openEngine(flags, 600);
    try {
      await serve({ rs, keys, port: flags.port, host: flags.host, log });
    } finally {
      await close();
    }
  });

command("ls <app>", "list the sessions that were active recently, most recently active first")
  .option("--dt <seconds>", "seconds to look back", integer, 3600)
  .option("--limit <n>", "maximum number of sessions to list", positive, 50)
  .option("--offset <n>", "number of sessions to skip", integer, 0)
  .action((app: string, { dt, limit, offset, ...flags }: Flags & Page & { dt: number }) =>
    list(flags, { limit, offset }, (rs, page) => rs.soapp({ app, dt, ...page })),
  );

command("activity <app>", "count the users who were active recently")
  .option("--dt <seconds>", "seconds to look back", integer, 600)
  .action((app: string, flags: Flags & { dt: number }) =>
    run(
      flags,
      (rs) => rs.activity({ app, dt: flags.dt }),
      ({ activity }) => `${count(activity, "user")} active in the last ${flags.dt} seconds`,
    ),
  );

command("soid <app> <id>", "list the sessions of a user, newest first")
  .option("--limit <n>", "maximum number of sessions to list", positive, 50)
  .option("--offset <n>", "number of sessions to skip", integer, 0)
  .action((app: string, id: string, { limit, offset, ...flags }: Flags & Page) =>
    list(flags, { limit, offset }, (rs, page) => rs.soid({ app, id, ...page })),
  );

command(
  "setall <app> <id> <json>",
  "merge data, a JSON object, into all sessions of a user; null removes a key",
).action((app: string, id: string, text: string, flags: Flags) =>
  run(
    flags,
    (rs) => rs.setAll({ app, id, d: parseData(text), nested: true }),
    ({ set }) => `${count(set, "session")} changed`,
  ),
);

command("touch <app> <ref>", "prolong a session by its ref or token, as a use would")
  .option("--ttl <seconds>", "its new idle timeout", integer)
  .action((app: string, ref: string, { ttl, ...flags }: Flags & { ttl?: number }) =>
    run(
      flags,
      (rs) => rs.touch({ ...whichOf(app, ref), ttl }),
      (session) => table(session === null ? [] : [session]),
    ),
  );

command("kill <app> <ref>", "end a session by its ref or token").action((app: string, ref: string, flags: Flags) =>
  run(flags, (rs) => rs.kill(whichOf(app, ref)), killed),
);

command("killsoid <app> <id>", "end all sessions of a user")
  .option("--except <ref>", "the session to keep")
  .action((app: string, id: string, { except, ...flags }: Flags & { except?: string }) =>
    run(flags, (rs) => rs.killsoid({ app, id, ...(except !== undefined && { except }) }), killed),
  );

command("killall <app>", "end all sessions of an app, after confirmation")
  .option("--yes", "do not ask for confirmation")
  .action(async (app: string, flags: Flags & { yes?: boolean }) => {
    if (flags.yes !== true && !(await confirm(`End all sessions of ${app}? All users must sign in again.`))) {
      throw new CommanderError(2, "unconfirmed", "No session was ended. Use --yes to skip the question.");
    }
    await run(flags, (rs) => rs.killall({ app }), killed);
  });

command("import", "move the sessions that connect-redis or redis-sessions left")
  .addOption(
    new Option("--from <package>", "the package that wrote them")
      .choices(["connect-redis", "redis-sessions"])
      .makeOptionMandatory(),
  )
  .option("--app <app>", "the app that they belong to (connect-redis: by default the prefix without its colon)")
  .option("--dry-run", "write nothing, and count what would be done")
  .option("--from-namespace <text>", "redis-sessions: its namespace (default: --namespace)")
  .option("--prefix <text>", 'connect-redis: the prefix of its keys (default "sess:")')
  .option("--user-id <path>", "connect-redis: where a session has the user's id (default passport.user or userId)")
  .option("--ttl <seconds>", "connect-redis: the option ttl of your RedisStore, if it is a number", positive)
  .option("--disable-ttl", "connect-redis: your RedisStore has the option disableTTL")
  .option("--hash-ids", "connect-redis: your RedisStore has the option hashIds")
  .option("--shards <n>", "the number of shards of an app that has no session yet (default 1)", shardCount)
  .action((flags: Flags & ImportFlags) =>
    run(
      flags,
      async (rs) => {
        const imported = await importSessions(rs, flags);
        if (!imported.complete) process.exitCode = 1;
        return imported;
      },
      (imported) => summary(imported, flags),
    ),
  );

command("reshard <app>", "move an app to another number of shards while it runs")
  .addOption(
    new Option("--to <n>", `the new number: ${SHARD_COUNTS.join(", ")}`).argParser(shardCount).makeOptionMandatory(),
  )
  .option("--dry-run", "write nothing, and count what would be moved")
  .addOption(
    new Option("--wait <seconds>")
      .argParser(integer)
      .default(RESHARD_WAIT / 1000)
      .hideHelp(),
  )
  .action((app: string, flags: Flags & ReshardFlags) =>
    run(
      flags,
      async (rs) => {
        const resharded = await reshard(rs, app, flags);
        if (!resharded.complete) process.exitCode = 1;
        return resharded;
      },
      (resharded) => reshardSummary(app, resharded, flags),
    ),
  );

try {
  await program.parseAsync(refLast(process.argv.slice(2)), { from: "user" });
} catch (error) {
  process.exitCode ||= report(error);
}

function command(usage: string, description: string): Command {
  return program
    .command(usage)
    .description(description)
    .addOption(redisOption())
    .addOption(clusterOption())
    .addOption(namespaceOption())
    .addOption(eventsOption())
    .option("--json", "print JSON");
}

function readVersion(): string {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
}

/** Moves the ref of `kill` and `touch` behind `--`, because a ref may begin with - and would be parsed as an option. */
function refLast(args: string[]): string[] {
  const at =
    (args[0] === "kill" || args[0] === "touch") && !args.includes("--")
      ? args.findIndex((arg) => arg.startsWith("-") && isRef(arg))
      : -1;
  return at === -1 ? args : [...args.toSpliced(at, 1), "--", `${args[at]}`];
}

function redisOption(): Option {
  return new Option(
    "--redis <url>",
    "URL of Redis, or path of its Unix socket (REDIS_URL or RS_REDISURL, or RS_REDISHOST and RS_REDISPORT; default 127.0.0.1:6379)",
  );
}

function clusterOption(): Option {
  return new Option("--cluster", "the server is a node of a Cluster (default: found out)");
}

function namespaceOption(): Option {
  return new Option("--namespace <text>", "first part of every key (RS_NAMESPACE; default rs)");
}

function eventsOption(): Option {
  return new Option("--events", "announce changes, if servers of the app have the engine's option events").env(
    "RS_EVENTS",
  );
}

async function run<Result>(
  flags: Flags,
  call: (rs: RedisSessions) => Promise<Result>,
  show: (result: Result) => string,
): Promise<void> {
  const { rs, close } = await openEngine(flags, 0);
  try {
    const result = await call(rs);
    print(`${flags.json === true ? json(result ?? {}) : show(result)}\n`);
  } finally {
    await close();
  }
}

/** Lists one page of sessions, and prints the offset of the next page. */
function list(
  flags: Flags,
  { limit, offset }: Page,
  call: (rs: RedisSessions, page: Page) => Promise<SessionList>,
): Promise<void> {
  // Request one more than is shown, to know whether there is a next page.
  const wanted = flags.json === true ? limit : limit + 1;
  return run(
    flags,
    (rs) => call(rs, { limit: wanted, offset }),
    ({ sessions }) => {
      const more = sessions.length > limit ? `\nmore: --offset ${offset + limit}` : "";
      return table(sessions.slice(0, limit)) + more;
    },
  );
}

function killed({ kill }: { kill: number }): string {
  return `${count(kill, "session")} ended`;
}

function integer(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

/** @throws SessionError `invalidValue` if the text is not JSON. The engine checks whether it is an object. */
function parseData(text: string): DefaultData {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidValue("The data is not JSON", `quote it for the shell: '{"role":"editor"}'`);
  }
}

function positive(text: string): number {
  const number = integer(text);
  if (number === 0) throw new InvalidArgumentError("It must be at least 1.");
  return number;
}

function shardCount(text: string): ShardCount {
  const number = integer(text);
  if (!SHARD_COUNTS.includes(number)) throw new InvalidArgumentError(`It must be one of ${SHARD_COUNTS.join(", ")}.`);
  return number as ShardCount;
}

function port(text: string): number {
  const number = integer(text);
  if (number > 65_535) throw new InvalidArgumentError("It must be a port, at most 65535.");
  return number;
}

/** Prints an error. Returns the exit code: 2 if the command line or the configuration was wrong, else 1. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.code === "unconfirmed") console.error(error.message);
    // Commander has already printed its message. A request for help has the exit code 0.
    return error.exitCode === 0 ? 0 : 2;
  }
  const { message, hint } = error as SessionError;
  console.error(`ioredis-sessions: ${message}${reasonOf(error)}${hint === undefined ? "" : ` (${hint})`}`);
  return isRefusal(error) ? 2 : 1;
}

#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { isRef, whichOf } from "../engine/checks.js";
import type { RedisSessions } from "../engine/engine.js";
import { isRefusal, type SessionError } from "../errors.js";
import { reasonOf } from "../rest/problem.js";
import type { SessionList } from "../types.js";
import { readKeys } from "./api-keys.js";
import { openEngine, type RedisFlags } from "./connect.js";
import { confirm, count, json, print, table } from "./print.js";
import { serve } from "./serve.js";

interface Flags extends RedisFlags {
  json?: boolean;
}

interface Part {
  limit: number;
  offset: number;
}

const program = new Command("ioredis-sessions")
  .description("Sessions in Redis that belong to a user: serve them by REST, list them, end them.")
  .version(readVersion())
  .showHelpAfterError("(--help says more)")
  .configureOutput({ writeOut: print })
  .exitOverride();

program
  .command("serve")
  .description("serve the REST interface")
  .addOption(new Option("--port <port>", "port to listen on").env("RS_PORT").default(8101).argParser(port))
  .option("--host <host>", "address to listen on", "127.0.0.1")
  .option(
    "--key-file <file>",
    "API keys, one a line, each may be followed by apps=a,b and read-only, and by a # comment (RS_API_KEYS: a,b)",
  )
  .option("--nested", "take any JSON as data, not only strings, numbers, booleans and null")
  .addOption(redisOption())
  .addOption(namespaceOption())
  .addHelpText("after", "\nRS_LOGLEVEL=none leaves nothing in the log but that it starts and ends.")
  .action(async (flags: RedisFlags & { port: number; host: string; keyFile?: string; nested?: boolean }) => {
    const keys = readKeys(flags.keyFile);
    const log = process.env.RS_LOGLEVEL !== "none";
    const rs = openEngine(flags, 600);
    try {
      await serve({ rs, keys, port: flags.port, host: flags.host, log });
    } finally {
      await rs.quit().catch(() => {});
    }
  });

command("ls <app>", "list the sessions that were active lately, most recently active first")
  .option("--dt <seconds>", "how far to look back", integer, 3600)
  .option("--limit <n>", "the most sessions to list", positive, 50)
  .option("--offset <n>", "how many to skip", integer, 0)
  .action((app: string, { dt, limit, offset, ...flags }: Flags & Part & { dt: number }) =>
    list(flags, { limit, offset }, (rs, part) => rs.soapp({ app, dt, ...part })),
  );

command("activity <app>", "count the users that were active lately")
  .option("--dt <seconds>", "how far to look back", integer, 600)
  .action((app: string, flags: Flags & { dt: number }) =>
    run(
      flags,
      (rs) => rs.activity({ app, dt: flags.dt }),
      ({ activity }) => `${count(activity, "user")} active in the last ${flags.dt} seconds`,
    ),
  );

command("soid <app> <id>", "list the sessions of a user, newest first")
  .option("--limit <n>", "the most sessions to list", positive, 50)
  .option("--offset <n>", "how many to skip", integer, 0)
  .action((app: string, id: string, { limit, offset, ...flags }: Flags & Part) =>
    list(flags, { limit, offset }, (rs, part) => rs.soid({ app, id, ...part })),
  );

command("kill <app> <ref>", "end a session, by its ref (or its token)").action(
  (app: string, ref: string, flags: Flags) => run(flags, (rs) => rs.kill(whichOf(app, ref)), killed),
);

command("killsoid <app> <id>", "end all sessions of a user")
  .option("--except <ref>", "the one session to spare")
  .action((app: string, id: string, { except, ...flags }: Flags & { except?: string }) =>
    run(flags, (rs) => rs.killsoid({ app, id, ...(except !== undefined && { except }) }), killed),
  );

command("killall <app>", "end all sessions of an app; asks first")
  .option("--yes", "do not ask")
  .action(async (app: string, flags: Flags & { yes?: boolean }) => {
    if (flags.yes !== true && !(await confirm(`End all sessions of ${app}? Everybody has to sign in again.`))) {
      throw new CommanderError(2, "unconfirmed", "Nothing was ended. --yes does it without asking.");
    }
    await run(flags, (rs) => rs.killall({ app }), killed);
  });

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
    .addOption(namespaceOption())
    .option("--json", "print JSON");
}

function readVersion(): string {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
}

/** A ref may begin with -, and is no option then: `kill` finds it behind `--`. */
function refLast(args: string[]): string[] {
  const at =
    args[0] === "kill" && !args.includes("--") ? args.findIndex((arg) => arg.startsWith("-") && isRef(arg)) : -1;
  return at === -1 ? args : [...args.toSpliced(at, 1), "--", `${args[at]}`];
}

function redisOption(): Option {
  return new Option(
    "--redis <url>",
    "where Redis is (REDIS_URL or RS_REDISURL, or RS_REDISHOST and RS_REDISPORT; default 127.0.0.1:6379)",
  );
}

function namespaceOption(): Option {
  return new Option("--namespace <text>", "first part of every key (RS_NAMESPACE; default rs)");
}

async function run<Result>(
  flags: Flags,
  call: (rs: RedisSessions) => Promise<Result>,
  show: (result: Result) => string,
): Promise<void> {
  const rs = openEngine(flags, 0);
  try {
    const result = await call(rs);
    print(`${flags.json === true ? json(result) : show(result)}\n`);
  } finally {
    await rs.quit().catch(() => {});
  }
}

/** Lists a part of many sessions, and says where the next part begins. */
function list(
  flags: Flags,
  { limit, offset }: Part,
  call: (rs: RedisSessions, part: Part) => Promise<SessionList>,
): Promise<void> {
  // One more than is shown tells whether there are more.
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

function positive(text: string): number {
  const number = integer(text);
  if (number === 0) throw new InvalidArgumentError("It must be at least 1.");
  return number;
}

function port(text: string): number {
  const number = integer(text);
  if (number > 65_535) throw new InvalidArgumentError("It must be a port, at most 65535.");
  return number;
}

/** Says what went wrong; gives the exit code: 2 when the command line or what configures it was wrong, else 1. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.code === "unconfirmed") console.error(error.message);
    // Commander has printed its own message already; help that was asked for is no error.
    return error.exitCode === 0 ? 0 : 2;
  }
  const { message, hint } = error as SessionError;
  console.error(`ioredis-sessions: ${message}${hint === undefined ? "" : ` (${hint})`}${reasonOf(error)}`);
  return isRefusal(error) ? 2 : 1;
}

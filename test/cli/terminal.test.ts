import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";
import { type Ended, findProgram, nameOf, runProgram } from "../support/programs.js";
import { useCommand } from "./support/command.js";

const python = findProgram(["python3", "/usr/bin/python3"], ["--version"]);
const full = existsSync("/dev/full") ? "/dev/full" : undefined;

const t = useEngine();
useCommand();

/** Runs `killall webapp` at a terminal and types an answer to its question. */
function answer(typed: string): Promise<Ended> {
  const killall = [process.execPath, "dist/cli/main.js", "killall", "webapp", "--redis", t.redis.url];
  return runProgram(`${python}`, ["test/cli/support/terminal.py", typed, ...killall], { TERM: "dumb" });
}

/** Runs the command in a shell with a redirection of its output. */
function inShell(args: string, redirection: string): Promise<Ended> {
  const line = `{ "${process.execPath}" dist/cli/main.js ${args}; echo "exit $?" >&2; } ${redirection}`;
  return runProgram("sh", ["-c", line], { REDIS_URL: t.redis.url });
}

describe("the command in a terminal", () => {
  test.skipIf(python === undefined)(
    nameOf("import shows its progress in one line, and removes it at the end", python, "no python3"),
    async () => {
      for (let n = 0; n < 30; n++) await t.db.set(`sess:${n}`, '{"cookie":{"originalMaxAge":null}}', "EX", 100);
      const args = ["dist/cli/main.js", "import", "--from", "connect-redis", "--redis", t.redis.url];
      const command = ["test/cli/support/terminal.py", "", process.execPath, ...args];
      const { code, out } = await runProgram(`${python}`, command, {});
      const erase = "\r\x1b[K";
      expect(out).toContain(`${erase}20 imported, 0 skipped, 0 left`);
      expect(out.split(erase).at(-1)).toBe("30 sessions imported");
      expect(code).toBe(0);
    },
  );

  test.skipIf(python === undefined).each([
    ["no", "n\\n"],
    ["nothing", "\\n"],
    ["Ctrl-C", "\\x03"],
    ["Ctrl-D", "\\x04"],
  ])(nameOf("killall ends no session and exits with 2 if the answer is %s", python, "no python3"), async (_, typed) => {
    const { ref } = await t.create();
    const { code, out } = await answer(typed);
    expect(out.replaceAll("\r\n", "\n")).toMatch(
      /\[y\/N\] [\s\S]*\nNo session was ended\. Use --yes to skip the question\.\n?$/,
    );
    expect(out).not.toMatch(/Abort/);
    expect(code).toBe(2);
    expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toMatchObject([{ ref }]);
  });

  test.skipIf(python === undefined)(
    nameOf("killall ends the sessions if the answer is y", python, "no python3"),
    async () => {
      await t.create();
      const { code, out } = await answer("y\\n");
      expect(out).toContain("1 session ended");
      expect(code).toBe(0);
    },
  );

  test.skipIf(full === undefined).each(["ls webapp --json", "activity webapp", "--help", "ls --help"])(
    nameOf("exits with 1 if the output of %s cannot be written", full, "no /dev/full"),
    async (args) => {
      const { err } = await inShell(args, `> ${full}`);
      expect(err).toMatch(/^ioredis-sessions: the output could not be written: ENOSPC.*\nexit 1$/);
    },
  );

  test.each(["ls webapp --json", "--help"])("exits with 0 if the reader of %s has closed the pipe", async (args) => {
    const { err } = await inShell(args, "| :");
    expect(err).toBe("exit 0");
  });
});

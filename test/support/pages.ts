/**
 * The pages for readers, README.md, CONTRIBUTING.md, SECURITY.md and docs/, and their fenced code blocks.
 * test/docs.test.ts runs every block.
 *
 * For authors of pages: the language of a block decides how it is tested.
 *
 * - `js` runs as a Node program on an empty Redis, and must not throw.
 *   - These names exist when the block uses them and does not declare them at the start of a line: `Redis`,
 *     `RedisSessions`, `SessionError`, `sessions`, `RedisStore`, `rest`, `express`, `session` (express-session),
 *     `client`, `rs`, `auth` (app "webapp"), `app` (Express; `auth` is in use), `store`, `token` and `ref` (of a session of
 *     alice in "webapp").
 *   - `statement; // → expected` compares the value of a one-line statement with a JavaScript expression. A line of its
 *     own, `// → expected`, compares the value of the `const` above it. Keys that `expected` leaves out are ignored,
 *     `"…"` matches any text, and a millisecond timestamp (10 ** 12 and more) any other.
 *     `statement; // → throws invalidValue` expects a rejection with that `name`.
 *   - An `app` that does not listen yet is started after the block, with the route `POST /login/:name`. Ports 3000, 8101 and
 *     6379 are replaced by free ones, which includes the check below.
 *   - `js continues` runs after the code of the `js` block above it, in one program.
 *   - A first line such as `// server.mjs` also makes the block a file that the page's `sh` blocks can start.
 * - `ts` is type-checked. The names above are declared. With a check it also runs, as `js` does.
 * - `diff` is applied (lines with `-` are dropped) and runs as `js`.
 * - `json` must parse.
 * - `sh` runs in bash, all blocks of a page in one shell, in an empty folder, with `REDIS_URL` set; a command that fails
 *   fails the test. `redis-cli` and `npx ioredis-sessions` reach the test's Redis and the built command.
 *   - `command # → expected` expects the output to contain that text; `…` matches anything, `$NAME` is expanded.
 *   - `node server.mjs` and `ioredis-sessions serve` run in the background until the page ends.
 *   - `npm install …`, `npm run …` and `npm test` do not run: the packages must be in our package.json, the scripts exist.
 * - Everything else (`text`, `http`, no language) needs a check.
 *
 * Hidden code, as HTML comments that touch the block:
 *
 *     <!-- before
 *     await rs.create({ app: "webapp", id: "bob", ip: "127.0.0.1" });
 *     -->
 *     ```js
 *     app.get("/account", auth.required(), async (req, res) => res.json(await req.rs.devices()));
 *     ```
 *     <!-- check
 *     const alice = visitor();
 *     assert.equal((await alice.get("/account")).status, 401);
 *     await alice.post("/login/alice");
 *     is((await alice.get("/account")).json, [{ current: true }]);
 *     -->
 *
 * Both are parts of the block's program. `check` has `assert` (node:assert/strict), `is(value, expected)` as above,
 * `visitor()`, a browser that keeps its cookies (`get(path)`, `post(path, body?)`: `{ status, headers, text, json }`),
 * `url` of the server, and `block`, the text of the block. Before an `sh` block, `before` is a program of its own: `put({ TOKEN: token })` sets
 * variables of the shell.
 *
 * A block that cannot run has its reason above it: `<!-- no-run: needs a cloud account -->`. The number of such blocks is limited.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Block {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  /** Whether the block runs in one program with the js block above it. */
  readonly continues: boolean;
  readonly code: string;
  readonly before: string;
  readonly check: string;
  /** The reason why the block does not run. */
  readonly noRun: string | undefined;
}

export interface Page {
  readonly path: string;
  readonly text: string;
  /** The text without fenced code and comments. */
  readonly prose: string;
  readonly blocks: readonly Block[];
  /** The anchors of the headings, as GitHub makes them. */
  readonly anchors: readonly string[];
}

const BLOCK =
  /(?:^ *<!-- (before|no-run)[: \n]((?:(?!-->).)*)-->\n)?^( *)```([^\n]*)\n(.*?)^\3```$(?:\n *<!-- check\n((?:(?!-->).)*)-->)?/gms;

export function readPages(): Page[] {
  const files = existsSync("docs") ? readdirSync("docs", { recursive: true, withFileTypes: true }) : [];
  const docs = files.map((file) => join(file.parentPath, file.name)).filter((path) => path.endsWith(".md"));
  return ["README.md", "CONTRIBUTING.md", "SECURITY.md", ...docs.sort()].map(readPage);
}

/** Pages whose links, tables and phrases are checked, but whose code does not run. */
export function readOtherPages(): Page[] {
  return ["ARCHITECTURE.md", "CHANGELOG.md", "bench/README.md", "examples/README.md"].map(readPage);
}

function readPage(path: string): Page {
  const text = readFileSync(path, "utf8");
  const prose = text.replace(BLOCK, "").replace(/<!--.*?-->/gs, "");
  return { path, text, prose, blocks: blocksOf(path, text), anchors: anchorsOf(prose) };
}

function blocksOf(page: string, text: string): Block[] {
  return [...text.matchAll(BLOCK)].map((match) => {
    const [, kind, hidden = "", indent = "", info = "", code = "", check = ""] = match;
    const [language = "", ...tags] = info.trim().split(" ");
    const line = text.slice(0, match.index).split("\n").length;
    return {
      page,
      line,
      language,
      continues: tags.includes("continues"),
      code: code.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
      before: kind === "before" ? hidden : "",
      check,
      noRun: kind === "no-run" ? hidden.trim() : undefined,
    };
  });
}

/** https://github.com/gjtorikian/html-pipeline/blob/v2.14.3/lib/html/pipeline/toc_filter.rb */
function anchorsOf(prose: string): string[] {
  const seen = new Map<string, number>();
  return [...prose.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) => {
    const anchor = title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_\- ]/gu, "")
      .replaceAll(" ", "-");
    const count = seen.get(anchor) ?? 0;
    seen.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { removePrograms, runBlock, runShell } from "./support/page-runner.js";
import { readOtherPages, readPages } from "./support/pages.js";
import { startRedis, type TestRedis } from "./support/redis.js";

const pages = readPages();
const allPages = [...pages, ...readOtherPages()];
const byPath = new Map(allPages.map((page) => [page.path, page]));

describe("every page", () => {
  test("is README.md or in docs/", () => {
    expect(pages.length).toBeGreaterThan(5);
  });

  test("has links that lead to a file and a heading", () => {
    const links = allPages.flatMap(({ path, prose }) =>
      [...prose.matchAll(/\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)/gm)].map(([, link, reference]) => ({
        path,
        link: link ?? reference ?? "",
      })),
    );
    const wrong = links.filter(({ path, link }) => {
      if (/^[a-z]+:/.test(link)) return false;
      const [file = "", anchor] = link.split("#");
      const target = file === "" ? path : join(dirname(path), file);
      if (file !== "" && !isThere(target)) return true;
      return anchor !== undefined && !byPath.get(target)?.anchors.includes(anchor);
    });
    expect(links.length).toBeGreaterThan(50);
    expect(wrong).toEqual([]);
  });

  test("has no table row of more than 120 characters", () => {
    const rows = allPages.flatMap(({ path, prose }) =>
      prose.split("\n").flatMap((row) => (/^ *\|/.test(row) && row.length > 120 ? [`${path}: ${row}`] : [])),
    );
    expect(rows).toEqual([]);
  });

  test("has no phrase that STYLE.md rejects", () => {
    expect(allPages.flatMap(({ path, prose }) => phrasesOf(prose).map((phrase) => `${path}: ${phrase}`))).toEqual([]);
  });

  test("listens for the errors of each client that it creates", () => {
    const blocks = pages.flatMap(({ path, blocks }) =>
      blocks.map(({ line, language, code }) => ({
        where: `${path}:${line}`,
        code,
        // The other lines of a diff are the reader's own code.
        added: language === "diff" ? code.replace(/^[^+].*$/gm, "") : code,
      })),
    );
    const sources = readdirSync("src", { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => {
        const code = (readFileSync(join("src", file), "utf8").match(/^ *\* .*$/gm) ?? []).join("\n");
        return { where: file, code, added: code };
      });
    const creating = [...blocks, ...sources].filter(({ added }) => /new (Redis|Cluster)\(/.test(added));
    expect(creating.length).toBeGreaterThan(15);
    expect(creating.filter(({ code }) => !code.includes('.on("error"')).map(({ where }) => where)).toEqual([]);
  });

  test("runs almost all of its code", () => {
    const still = pages.flatMap(({ blocks }) => blocks.filter(({ noRun }) => noRun !== undefined));
    expect(still.filter(({ noRun }) => noRun === "")).toEqual([]);
    expect(still.length).toBeLessThan(6);
  });
});

test("README.md has at most 250 lines", () => {
  expect(byPath.get("README.md")?.text.trimEnd().split("\n").length).toBeLessThanOrEqual(250);
});

describe("ARCHITECTURE.md", () => {
  const text = byPath.get("ARCHITECTURE.md")?.text ?? "";

  test("names paths that exist", () => {
    const paths = [...text.matchAll(/`([a-z-]+(?:\/[a-z-]+)*(?:\/|\.ts|\.lua|\.js|\.json))`/g)].map(
      ([, path = ""]) => path,
    );
    expect(paths.length).toBeGreaterThan(30);
    expect(paths.filter((path) => !existsSync(join("src", path)) && !existsSync(path))).toEqual([]);
  });

  test("names every script", () => {
    const scripts = readdirSync("src/lua").filter((file) => file.endsWith(".lua"));
    expect(scripts.length).toBeGreaterThan(10);
    expect(scripts.filter((script) => !text.includes(`\`lua/${script}\``))).toEqual([]);
  });
});

const troubleshooting = byPath.get("docs/troubleshooting.md");

test("docs/troubleshooting.md has a heading for every warning", () => {
  const sources = readdirSync("src", { recursive: true, withFileTypes: true })
    .filter(({ name }) => name.endsWith(".ts"))
    .map((file) => readFileSync(join(file.parentPath, file.name), "utf8"));
  const codes = [...sources.join("\n").matchAll(/(?:\bwarnOnce\(\s*[\w.#]+,\s*|\bCODE = )"([A-Z_]+)"/g)].map(
    ([, code = ""]) => code,
  );
  expect(codes.length).toBeGreaterThan(5);
  expect(codes.filter((code) => !troubleshooting?.anchors.includes(code.toLowerCase()))).toEqual([]);
});

test("docs/troubleshooting.md has a heading for every code of a SessionError", () => {
  const source = readFileSync("src/errors.ts", "utf8");
  const codes = [...new Set(source.match(/\bERR_[A-Z_]+/g))];
  expect(codes.length).toBeGreaterThan(5);
  expect(codes.filter((code) => !troubleshooting?.anchors.includes(code.toLowerCase()))).toEqual([]);
});

describe("code", { timeout: 90_000 }, () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  beforeEach(() => redis.client().flushall());
  afterAll(async () => {
    removePrograms();
    await redis.stop();
  });

  describe.each(pages.filter(({ blocks }) => blocks.length > 0))("of $path", ({ blocks }) => {
    const programs = blocks.filter(({ language, noRun }) => language !== "sh" && noRun === undefined);
    test.each(programs)("runs line $line: $language", (block) => runBlock(block, blocks, redis));

    if (blocks.some(({ language }) => language === "sh")) {
      test("runs the commands", () => runShell(blocks, redis));
    }
  });
});

/** Phrases that STYLE.md rejects. Each has a plain counterpart there. */
const PHRASES = [
  /\bshall\b/i,
  /\banew\b/i,
  /\bwhoever\b/i,
  /\bwhat is (?:no|not)\b/i,
  /\bthose (?:that|who|which)\b/i,
  /\bhas not the\b|\bhave not the\b/i,
  /\bcounts? as none\b|(?<!there )\bis no (?:id|token|session|key|answer)\b/i,
  /\bpass(?:ed|es)? (?:over|by)\b/i,
  /\bmay rest\b|\bhas rested\b|\bcomes? by\b/i,
  /\bgoes on\b|\bgo on (?:as|working)\b/i,
  /\b(?:is|are|was|were) to (?:be|do|end|have|open|take|give)\b/i,
  /\bstands? (?:in|for|as|there)\b/i,
  /\bas ever\b|\bas of old\b|\bby itself\b.*\bby itself\b/i,
  /\bgives? (?:nothing|back|null|the|a|an|nobody|it|its)\b/i,
  /\bbut for (?:the|its|that|what)\b/i,
  /\bthe like\b|\band its kind\b/i,
  /\bheed\b|\bdoer\b|\bin the midst\b|\bof yours\b/i,
];

/** Returns each rejected phrase with the text around it. Ignores code in backquotes. */
function phrasesOf(prose: string): string[] {
  const text = prose.replace(/`[^`]*`/g, "``").replaceAll("\n", " ");
  return PHRASES.flatMap((phrase) => {
    const { index } = phrase.exec(text) ?? {};
    return index === undefined ? [] : [text.slice(Math.max(0, index - 40), index + 60)];
  });
}

function isThere(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EISDIR";
  }
}

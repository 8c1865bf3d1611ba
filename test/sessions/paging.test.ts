import { setImmediate as round } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type Page, type PageOptions, prefetch, walk } from "../../src/sessions/paging.js";

async function collect<Item>(items: AsyncGenerator<Item, void>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe.each(["before", "after"] as const)("prefetch, %s", (begin) => {
  test("yields the same items, and requests the next one while the caller works on the present one", async () => {
    const begun: number[] = [];
    async function* numbers() {
      for (let i = 0; i < 3; i++) {
        begun.push(i);
        yield i;
      }
    }
    const seen: string[] = [];
    const atOnce: number[] = [];
    for await (const number of prefetch(numbers(), begin)) {
      atOnce.push(begun.length);
      await round();
      seen.push(`${number} when ${begun} had begun`);
    }
    expect(atOnce).toEqual(begin === "before" ? [2, 3, 3] : [1, 2, 3]);
    expect(seen).toEqual(["0 when 0,1 had begun", "1 when 0,1,2 had begun", "2 when 0,1,2 had begun"]);
  });

  test("throws a failure when its item is awaited, without an unhandled rejection before", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => void unhandled.push(reason);
    process.on("unhandledRejection", note);
    async function* failing() {
      yield 1;
      throw new Error("the second page");
    }
    const seen: number[] = [];
    const walking = (async () => {
      for await (const number of prefetch(failing(), begin)) {
        seen.push(number);
        for (let i = 0; i < 3; i++) await round();
      }
    })();
    await expect(walking).rejects.toThrow("the second page");
    process.off("unhandledRejection", note);
    expect({ seen, unhandled }).toEqual({ seen: [1], unhandled: [] });
  });
});

describe("walk", () => {
  test("begins each page at the cursor of the previous one, until a page is not full", async () => {
    const pages = [["a", "b"], ["c", "d"], ["e"]];
    const asked: PageOptions[] = [];
    const read = async (options: PageOptions): Promise<Page> => {
      const members = pages[asked.push(options) - 1] ?? [];
      return { members, cursor: `after ${members.at(-1)}` };
    };
    expect(await collect(walk(2, read))).toEqual(pages);
    expect(asked.map(({ cursor }) => cursor)).toEqual(["", "after b", "after d"]);
  });

  test("reads one page of an empty zset", async () => {
    expect(await collect(walk(10, async () => ({ members: [], cursor: "" })))).toEqual([]);
  });
});

import { describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";

describe("the Redis options", () => {
  test("lists each accepted Redis option once in the error about an unknown one", () => {
    let message = "";
    try {
      new RedisSessions({ options: { nodes: [] } as never });
    } catch (error) {
      message = (error as Error).message;
    }
    const names = /It takes (.*)\.$/.exec(message)?.[1]?.split(", ") ?? [];
    expect(names).toContain("lazyConnect");
    expect(names).toEqual([...new Set(names)]);
  });
});

import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createToken, refOf } from "../../src/sessions/token.js";

describe("refOf", () => {
  test("returns the first 20 bytes of the token's SHA-256 as base64url, also from the cache", () => {
    const created = Array.from({ length: 2000 }, () => createToken());
    const tokens = created.map(({ token }) => token);
    const documented = tokens.map((token) =>
      createHash("sha256").update(token).digest().subarray(0, 20).toString("base64url"),
    );
    expect(created.map(({ ref }) => ref)).toEqual(documented);
    for (let i = 0; i < 2; i++) expect(tokens.map(refOf)).toEqual(documented);
  });

  test("returns correct refs for more tokens than the cache holds", () => {
    const many = Array.from({ length: 25_000 }, () => createToken());
    for (const { token, ref } of [...many, ...many.slice(0, 10)]) expect(refOf(token)).toBe(ref);
  });
});

import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createSalt, createSuccessor, createToken, familyOf, refOf } from "../../src/sessions/token.js";

describe("refOf", () => {
  test("returns the token's first character and 26 of its SHA-256 as base64url, also from the cache", () => {
    const created = Array.from({ length: 2000 }, (_, i) => createToken(i % 32));
    const tokens = created.map(({ token }) => token);
    const documented = tokens.map(
      (token) => token[0] + createHash("sha256").update(token).digest("base64url").slice(0, 26),
    );
    expect(created.map(({ ref }) => ref)).toEqual(documented);
    for (let i = 0; i < 2; i++) expect(tokens.map(refOf)).toEqual(documented);
  });

  test("returns correct refs for more tokens than the cache holds", () => {
    const many = Array.from({ length: 25_000 }, (_, i) => createToken(i % 32));
    for (const { token, ref } of [...many, ...many.slice(0, 10)]) expect(refOf(token)).toBe(ref);
  });
});

describe("createToken", () => {
  const CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

  test.each([0, 1, 29, 30, 31])("chooses each first character that leads to shard %i equally often", (shard) => {
    const choices = [...CHARACTERS].filter((_, i) => i % 32 === shard);
    const expected = 500;
    const counts = new Map<string, number>();
    for (let i = 0; i < expected * choices.length; i++) {
      const { token, ref } = createToken(shard);
      expect(ref).toBe(refOf(token));
      expect(token).toMatch(/^[A-Za-z0-9]{64}$/);
      const [first = ""] = token;
      counts.set(first, (counts.get(first) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(choices.sort());
    // Six standard deviations.
    for (const n of counts.values()) expect(Math.abs(n - expected)).toBeLessThan(6 * Math.sqrt(expected));
  });

  test("has 375 bits beside the first character", () => {
    const counts = new Map<string, number>();
    const ROUNDS = 2000;
    for (let i = 0; i < ROUNDS; i++) {
      for (const character of createToken(31).token.slice(1)) counts.set(character, (counts.get(character) ?? 0) + 1);
    }
    const expected = (ROUNDS * 63) / 62;
    expect(Math.floor(63 * Math.log2(counts.size))).toBe(375);
    // Eight standard deviations.
    for (const count of counts.values()) expect(Math.abs(count - expected)).toBeLessThan(8 * Math.sqrt(expected));
  });
});

describe("createSuccessor", () => {
  const { token } = createToken(7);

  test("returns a token of the same family and its ref, the same for the same salt", () => {
    const salt = createSalt();
    const next = createSuccessor(token, salt);
    expect(next.token).toMatch(/^[A-Za-z0-9]{64}$/);
    expect(next.ref).toBe(refOf(next.token));
    expect(familyOf(next.token)).toBe(familyOf(token));
    expect(createSuccessor(token, salt)).toEqual(next);
  });

  test("returns another token for another salt, and for another token of the family", () => {
    const salt = createSalt();
    const sibling = createSuccessor(token, createSalt()).token;
    const tokens = [token, createSuccessor(token, salt).token, createSuccessor(sibling, salt).token, sibling];
    expect(new Set(tokens.map((one) => one.slice(22))).size).toBe(4);
  });

  test("uses all characters equally often, whatever their position", () => {
    const counts = new Map<string, number>();
    const ROUNDS = 2000;
    for (let i = 0; i < ROUNDS; i++) {
      for (const character of createSuccessor(token, createSalt()).token.slice(22)) {
        counts.set(character, (counts.get(character) ?? 0) + 1);
      }
    }
    const expected = (ROUNDS * 42) / 62;
    expect(counts.size).toBe(62);
    // Eight standard deviations.
    for (const count of counts.values()) expect(Math.abs(count - expected)).toBeLessThan(8 * Math.sqrt(expected));
  });
});

describe("familyOf", () => {
  test("is a hash that differs for tokens of different families", () => {
    const names = Array.from({ length: 1000 }, () => familyOf(createToken(7).token));
    expect(new Set(names).size).toBe(1000);
    for (const name of names) expect(name).toMatch(/^[\w-]{27}$/);
  });
});

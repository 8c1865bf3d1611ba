import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { createToken, refOf } from "../../src/engine/token.js";

test("a ref is the first 20 bytes of the token's SHA-256 as base64url, whatever the token", () => {
  const tokens = Array.from({ length: 2000 }, () => createToken());
  const documented = (token: string) =>
    createHash("sha256").update(token).digest().subarray(0, 20).toString("base64url");
  expect(tokens.map(refOf)).toEqual(tokens.map(documented));
});

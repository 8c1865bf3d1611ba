import { Redis } from "ioredis";
import { afterAll, describe, expect, test } from "vitest";
import { RedisSessions, SessionError } from "../../src/index.js";
import { type RestOptions, rest } from "../../src/rest/index.js";

const client = new Redis({ lazyConnect: true });
const rs = new RedisSessions({ client, wipe: 0 });
const key = "0123456789abcdef";

afterAll(() => client.disconnect());

/** Makes a function that calls `rest` with options that may be invalid. */
function construct(options: unknown): () => unknown {
  return () => rest(options as RestOptions);
}

describe("rest", () => {
  test.each<[string, unknown, RegExp]>([
    ["no options", undefined, /rest takes an object of options/],
    ["an engine", rs, /rest takes an object of options, not an engine: app\.use\(rest\(\{ rs, authorize \}\)\)/],
    ["a request", { headers: {}, url: "/" }, /not a request: app\.use\(rest\(\{ rs, authorize \}\)\)/],
    ["a client", { client, authorize: [key] }, /It belongs to the engine: rs: new RedisSessions\(\{ client \}\)/],
    ["no engine", { authorize: false }, /rest needs rs/],
    ["an rs that is not an engine", { rs: {}, authorize: false }, /rs must be an engine/],
    ["no authorize", { rs }, /rest needs authorize/],
    ["authorize: undefined", { rs, authorize: undefined }, /rest needs authorize/],
    ["authorize: null", { rs, authorize: null }, /rest needs authorize/],
    ["authorize: true", { rs, authorize: true }, /authorize must be/],
    ["authorize: a string", { rs, authorize: key }, /rest needs authorize/],
    ["no keys", { rs, authorize: [] }, /rest needs authorize/],
    ["a key that is undefined", { rs, authorize: [undefined] }, /authorize/],
    ["an empty key", { rs, authorize: [""] }, /at least 16 characters/],
    ["a short key", { rs, authorize: [key, "0123456789abcde"] }, /at least 16 characters/],
    ["a grant without a key", { rs, authorize: [{ apps: ["webapp"] }] }, /at least 16 characters/],
    ["a bad app", { rs, authorize: [{ key, apps: ["no"] }] }, /Invalid app format/],
    ["apps that is a string", { rs, authorize: [{ key, apps: "webapp" }] }, /apps must be a list/],
    ["readOnly that is a string", { rs, authorize: [{ key, readOnly: "yes" }] }, /readOnly must be true or false/],
    ["apps that is undefined", { rs, authorize: [{ key, apps: undefined }] }, /apps is undefined/],
    ["readOnly that is undefined", { rs, authorize: [{ key, readOnly: undefined }] }, /readOnly is undefined/],
    [
      "a key that occurs twice",
      { rs, authorize: [{ key, readOnly: true }, "x".repeat(16), key] },
      /key 3 is a duplicate/,
    ],
    ["a misspelt grant", { rs, authorize: [{ key, readonly: true }] }, /Did you mean "readOnly"/],
    ["another misspelt grant", { rs, authorize: [{ key, app: ["webapp"] }] }, /Did you mean "apps"/],
    ["an onError that is not a function", { rs, authorize: [key], onError: true }, /onError must be a function/],
    ["a misspelt option", { rs, authorise: [key] }, /Did you mean "authorize"/],
  ])("throws when constructed with %s", (_what, options, message) => {
    expect(construct(options)).toThrow(SessionError);
    expect(construct(options)).toThrow(message);
  });

  test("names an invalid key by its position in the list", () => {
    expect(construct({ rs, authorize: [key, undefined] })).toThrow("authorize: key 2 must be");
    expect(construct({ rs, authorize: [key, { key, apps: ["no"] }] })).toThrow('authorize: apps of key 2: "no"');
  });

  test("repeats no key in an error of the constructor", () => {
    const secret = "S3cretS3cretS3cret";
    for (const authorize of [[{ key: secret, apps: ["no"] }], [{ key: secret, readonly: true }], secret, ["S3cret"]]) {
      let said = "";
      try {
        construct({ rs, authorize })();
      } catch (error) {
        said = `${(error as Error).message} ${(error as SessionError).hint}`;
      }
      expect(said).not.toBe("");
      expect(said).not.toContain("S3cret");
    }
  });

  test.each([
    ["keys", [key]],
    ["keys with grants", [{ key, apps: ["webapp"], readOnly: true }]],
    ["a function", () => true],
    ["false", false],
  ])("returns a router if authorize is %s", (_what, authorize) => {
    expect(construct({ rs, authorize })()).toBeTypeOf("function");
  });
});

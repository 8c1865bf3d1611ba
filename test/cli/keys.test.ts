import { describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";
import { run, serve, statusOf, useCommand } from "./support/command.js";

const KEY = "key-0123456789abcdef";
const SHOP = "shop-0123456789abcdef";
const READER = "read-0123456789abcdef";

const t = useEngine();
const { keyFile } = useCommand();

/** Expects that `serve` exits with 2 and an error that names the position of the bad key, but does not quote it. */
async function expectRefusal(args: string[], env: Record<string, string>, message: RegExp): Promise<void> {
  const { code, out, err } = await run(["serve", "--port", "0", "--redis", t.redis.url, ...args], env);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(err).toMatch(message);
  expect(err).not.toMatch(/0123456789|\n +at /);
}

describe("the keys of serve", () => {
  test("reads comments, apps and read-only from a key file", async () => {
    const file = keyFile(
      `# keys of the shop\r\n\r\n${KEY}\n  ${SHOP}\tapps=shop,shop-test # until June\n${READER} read-only apps=shop\n`,
    );
    const { url } = await serve(["--redis", t.redis.url, "--key-file", file]);
    const kill = (app: string, key: string) => statusOf(`${url}/${app}/killall`, key, "DELETE");
    const read = (app: string, key: string) => statusOf(`${url}/${app}/activity?dt=60`, key);
    expect([await kill("webapp", KEY), await kill("shop", KEY)]).toEqual([200, 200]);
    expect([await kill("webapp", SHOP), await kill("shop-test", SHOP)]).toEqual([403, 200]);
    expect([await kill("shop", READER), await read("shop", READER), await read("webapp", READER)]).toEqual([
      403, 200, 403,
    ]);
    expect(await read("shop", "#")).toBe(401);
  });

  test("reads # as a comment only at the start of a line and after white space", async () => {
    const sharp = `${KEY}#1`;
    const { url } = await serve(["--redis", t.redis.url, "--key-file", keyFile(`#${SHOP}\n${sharp}\t#${READER}\n`)]);
    const statuses = [sharp, KEY, SHOP, READER].map((key) => statusOf(`${url}/webapp/activity?dt=60`, key));
    expect(await Promise.all(statuses)).toEqual([200, 401, 401, 401]);
  });

  test.each<[string, string, RegExp]>([
    ["holds no key", "# nothing yet\n\n", /^ioredis-sessions: --key-file \S+ contains no key \(.*openssl/],
    ["has an unknown limit", `\n${KEY} readonly`, /--key-file \S+, line 2: only apps=… and read-only may follow/],
    ["has a space among the apps", `${KEY} apps=shop, webapp`, /line 1: .*by commas without spaces: apps=webapp,shop/],
    ["has a space before the comma", `${KEY} apps=shop ,webapp`, /line 1: .*by commas without spaces/],
    ["ends its apps with a comma", `${KEY} apps=shop,`, /line 1: .*app.*by commas without spaces/],
    ["has a short key", `# mine\n\n${KEY}\nshort`, /line 4: the key has fewer than 16 characters/],
    ["has a bad app", `${KEY} apps=no`, /line 1: .*app.*3 to 20/],
    ["has no apps", `${KEY} apps=`, /line 1: .*app.*3 to 20/],
    ["has apps twice", `${KEY} apps=shop apps=webapp`, /line 1: apps= appears twice .*one list: apps=webapp,shop/],
    ["has a key twice", `${KEY} apps=shop\n#\n${KEY}`, /line 3: the key is already in line 1/],
  ])("refuses a key file that %s, without quoting it", async (_what, text, message) => {
    await expectRefusal(["--key-file", keyFile(text)], {}, message);
  });

  test("refuses a missing key file", async () => {
    await expectRefusal(["--key-file", "/nowhere/keys"], {}, /--key-file \/nowhere\/keys cannot be read: ENOENT/);
  });

  test.each(["", " ", ",,", " , "])("refuses RS_API_KEYS=%j, which holds no key", async (keys) => {
    await expectRefusal([], { RS_API_KEYS: keys }, /RS_API_KEYS is set but contains no key .*unset it .* localhost/);
  });

  test("names the position of a short key in RS_API_KEYS", async () => {
    await expectRefusal([], { RS_API_KEYS: `${KEY},abcdef` }, /RS_API_KEYS: key 2 has fewer than 16 characters/);
  });
});

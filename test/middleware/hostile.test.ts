import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { sign } from "cookie-signature";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { SECRET, type Site, useSites } from "./support/site.js";

const t = useSites();

const agent = new Agent({ keepAlive: true, maxSockets: 20 });
afterAll(() => agent.destroy());

interface Attempt {
  cookie?: string;
  authorization?: string;
}

async function ask(site: Site, headers: Attempt): Promise<[status: number | undefined, body: string]> {
  return new Promise((resolve, reject) => {
    request(`${site.url}/me`, { agent, headers: { ...headers } }, (response) => {
      text(response).then((body) => resolve([response.statusCode, body]), reject);
    })
      .on("error", reject)
      .end();
  });
}

/** Returns a random text that Node allows in a header. */
const headerText = fc.string({
  unit: fc
    .integer({ min: 0x20, max: 0xff })
    .filter((code) => code !== 0x7f)
    .map((code) => String.fromCharCode(code)),
  maxLength: 200,
});

/** Returns the text with one random change. */
function mutant(original: string): fc.Arbitrary<string> {
  const at = fc.nat(original.length - 1);
  const char = fc.constantFrom(..."abcXYZ019.+/=%-_ ;,\"'\\", "%00", "%0a", "%2E", "%", "é", "\t");
  return fc.oneof(
    fc.tuple(at, char).map(([i, c]) => original.slice(0, i) + c + original.slice(i + 1)),
    fc.tuple(at, char).map(([i, c]) => original.slice(0, i) + c + original.slice(i)),
    fc.tuple(at, fc.nat(80)).map(([i, n]) => original.slice(0, i) + original.slice(i + n)),
    fc.tuple(at, at).map(([i, k]) => original.slice(i) + original.slice(0, k)),
    at.map((i) => original.slice(0, i) + original.slice(i).toUpperCase()),
    at.map((i) => original.slice(0, i) + original.slice(i).toLowerCase()),
    headerText.map((more) => original + more),
    headerText.map((more) => more + original),
  );
}

/** Whether a request carries its token: as a signed cookie, or as a Bearer token. */
function isLegitimate({ cookie = "", authorization = "" }: Attempt, signed: string): boolean {
  // A header is not signed, so any well-formed token may be looked up.
  if (/^bearer +[a-z0-9]{64}[ \t]*$/i.test(authorization.trim())) return true;
  return cookie.split(";").some((pair) => {
    const [name, ...value] = pair.split("=");
    return name?.trim() === "rs" && decoded(value.join("=").trim()) === signed;
  });
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

test("ignores 10,000 random and mutated cookies and headers without an error, a session or a Redis call", async () => {
  const site = await t.open({ "/me": (req) => req.rs.get() }, { use: [t.auth({ header: true })], server: "node:http" });
  const { token } = await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
  const signed = sign(token, SECRET);
  const pair = `rs=${encodeURIComponent(signed)}`;
  expect((await ask(site, { cookie: pair }))[1]).toContain("alice");
  expect((await ask(site, { authorization: `Bearer ${token}` }))[1]).toContain("alice");

  const attempt: fc.Arbitrary<Attempt> = fc.oneof(
    fc.record({ cookie: headerText }),
    fc.record({ cookie: headerText.map((value) => `rs=${value}`) }),
    fc.record({
      cookie: fc
        .array(
          headerText.map((value) => `rs=${value}`),
          { maxLength: 5 },
        )
        .map((all) => all.join("; ")),
    }),
    fc.record({ cookie: mutant(pair) }),
    fc.record({ cookie: mutant(`rs=${signed}`) }),
    fc.record({
      cookie: fc.constantFrom("another", "", `${SECRET} `).map((secret) => `rs=${token}${sign("", secret)}`),
    }),
    fc.record({ authorization: headerText }),
    fc.record({ authorization: headerText.map((value) => `Bearer ${value}`) }),
    fc.record({ authorization: mutant(`Bearer ${token}`), cookie: mutant(pair) }),
  );
  const attempts = fc
    .sample(attempt, { numRuns: 12_000, seed: Math.floor(Math.random() * 2 ** 31) })
    .filter((one) => !isLegitimate(one, signed))
    .slice(0, 10_000);
  expect(attempts).toHaveLength(10_000);

  const commands = await t.redis.watch(async () => {
    for (let i = 0; i < attempts.length; i += 100) {
      const batch = attempts.slice(i, i + 100);
      const answers = await Promise.all(batch.map((one) => ask(site, one)));
      for (const [k, answer] of answers.entries()) {
        if (answer[0] !== 200 || answer[1] !== "null") expect({ attempt: batch[k], answer }).toBeUndefined();
      }
    }
  });
  expect(commands).toEqual([]);
  expect((await ask(site, { cookie: pair }))[1]).toContain("alice");
});

test("asks Redis for a well-formed, signed token that does not exist, and finds no session", async () => {
  const site = await t.open({ "/me": (req) => req.rs.get() }, { use: [t.auth({ header: true })] });
  const alphabet = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"];
  const madeUp = fc.string({ unit: fc.constantFrom(...alphabet), minLength: 64, maxLength: 64 });
  const tokens = fc.sample(madeUp, 200);
  // With an app that is not registered, each call also checks that it has no session in several shards.
  await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
  // The first use loads the script.
  await t.rs.get({ app: "webapp", token: `${tokens[0]}` });
  const size = await t.db.dbsize();
  const commands = await t.redis.watch(async () => {
    for (const [i, token] of tokens.entries()) {
      const cookie = `rs=${encodeURIComponent(sign(token, SECRET))}`;
      expect(await ask(site, i % 2 ? { cookie } : { authorization: `Bearer ${token}` })).toEqual([200, "null"]);
    }
  });
  // A second command finds out whether the token was rotated, and whether its cookie may be cleared.
  const names = commands.map(([name]) => name).toSorted();
  expect(names).toEqual([...Array(200).fill("evalsha"), ...Array(200).fill("mget")]);
  expect(await t.db.dbsize()).toBe(size);
});

import { describe, expect, test } from "vitest";
import { SessionError } from "../../src/index.js";
import { type CookieOptions, type SessionsOptions, sessions } from "../../src/middleware/index.js";
import { SECRET, useSites } from "./support/site.js";

const t = useSites();

/** Creates the middleware with any options, as untyped JavaScript can. */
function make(options: object): unknown {
  return sessions({ rs: t.rs, app: "webapp", secret: SECRET, ...options } as unknown as SessionsOptions);
}

function refusal(make: () => unknown): unknown {
  try {
    return make();
  } catch (error) {
    expect(error).toBeInstanceOf(SessionError);
    return error;
  }
}

describe("sessions throws for", () => {
  test.each<[string, object, string, string]>([
    ["a missing engine", { rs: undefined }, "invalidValue", "sessions needs rs, an engine: new RedisSessions(…)"],
    ["a missing app", { app: undefined }, "missingParameter", "No app supplied"],
    ["a bad app", { app: "a b" }, "invalidFormat", "Invalid app format"],
    ["no secret", { secret: undefined }, "invalidValue", "sessions needs a secret to sign its cookie"],
    ["an empty secret", { secret: "" }, "invalidValue", "sessions needs a secret"],
    ["an empty list of secrets", { secret: [] }, "invalidValue", "sessions needs a secret"],
    ["a list with an empty secret", { secret: ["good", ""] }, "invalidValue", "sessions needs a secret"],
    ["a secret that is not a string", { secret: 42 }, "invalidValue", "sessions needs a secret"],
    ["no source for the token", { cookie: false }, "invalidValue", "a source for the token: cookie, header or read"],
    ["write without read", { write: () => {} }, "invalidValue", "write needs read"],
    ["write and a cookie", { read: () => "", write: () => {}, cookie: {} }, "invalidValue", "but not both"],
  ])("%s", (_what, options, name, message) => {
    expect(refusal(() => make(options))).toMatchObject({ name, message: expect.stringContaining(message) });
  });

  test.each([
    ["secrets", "secret"],
    ["Cookie", "cookie"],
    ["headers", "header"],
    ["onoutage", "onOutage"],
    ["maxperuser", "maxPerUser"],
    ["tll", "ttl"],
    ["absolut", "absolute"],
    ["devices", "device"],
  ])("the misspelt option %s and names %s", (misspelt, right) => {
    const message = `sessions has no option "${misspelt}". Did you mean "${right}"?`;
    expect(refusal(() => make({ [misspelt]: 1 }))).toMatchObject({ name: "invalidValue", message });
  });

  test.each<[string, unknown, string]>([
    ["rs", {}, "sessions: rs must be an engine: new RedisSessions(…)"],
    ["cookie", true, "sessions: cookie must be an object or false"],
    ["header", "x y", "sessions: header must be true or the name of a header"],
    ["header", "", "sessions: header must be true or the name of a header"],
    ["header", false, "sessions: header must be true or the name of a header"],
    ["read", "cookie", "sessions: read must be a function"],
    ["write", 1, "sessions: write must be a function"],
    ["device", "Firefox", "sessions: device must be a function"],
    ["onOutage", "ignore", 'sessions: onOutage must be "error" or "anonymous"'],
    ["ttl", 5, "ttl must be a positive integer >= 10"],
    ["ttl", "1h", "ttl must be a positive integer >= 10"],
    ["absolute", 9, "absolute must be a positive integer >= 10"],
    ["maxPerUser", 0, "maxPerUser must be an integer >= 1"],
    ["maxPerUser", 1.5, "maxPerUser must be an integer >= 1"],
    ["overflow", "newest", 'overflow must be "oldest", "idle" or "reject"'],
  ])("%s: %j", (name, value, message) => {
    expect(refusal(() => make({ [name]: value }))).toMatchObject({ name: "invalidValue", message });
  });

  test.each<[unknown]>([[undefined], [null], ["webapp"]])("%j instead of options", (options) => {
    const refused = refusal(() => sessions(options as unknown as SessionsOptions));
    const message = expect.stringMatching(
      /^sessions takes an object of options, not (undefined|null|a string): app\.use/,
    );
    expect(refused).toMatchObject({ name: "invalidValue", message });
  });
});

describe("sessions throws for the cookie options", () => {
  test.each<[object, string]>([
    [{ sameSit: "lax" }, 'cookie has no option "sameSit". Did you mean "sameSite"?'],
    [{ expires: 5 }, 'cookie has no option "expires". It takes name, path, domain'],
    [{ maxage: 5 }, 'cookie has no option "maxage". Did you mean "maxAge"?'],
    [{ name: "" }, "cookie: name must be a cookie name"],
    [{ name: "a=b" }, "cookie: name must be a cookie name"],
    [{ name: "a b" }, "cookie: name must be a cookie name"],
    [{ name: "a;b" }, "cookie: name must be a cookie name"],
    [{ name: "딸기" }, "cookie: name must be a cookie name"],
    [{ path: "shop" }, "cookie: path must be a path"],
    [{ path: "/;Domain=evil" }, "cookie: path must be a path"],
    [{ path: "/\r\nX: 1" }, "cookie: path must be a path"],
    [{ path: "/<a" }, "cookie: path must be a path"],
    [{ domain: "" }, "cookie: domain must be a domain"],
    [{ domain: "localhost:3000" }, "cookie: domain must be a domain"],
    [{ domain: "https://example.com" }, "cookie: domain must be a domain"],
    [{ domain: "-a.com" }, "cookie: domain must be a domain"],
    [{ domain: "a-.com" }, "cookie: domain must be a domain"],
    [{ domain: `${"a".repeat(64)}.com` }, "cookie: domain must be a domain"],
    [{ sameSite: "Lax" }, 'cookie: sameSite must be "strict" or "lax" or "none"'],
    [{ sameSite: true }, 'cookie: sameSite must be "strict" or "lax" or "none"'],
    [{ secure: "yes" }, 'cookie: secure must be true or false or "auto"'],
    [{ httpOnly: 1 }, "cookie: httpOnly must be true or false"],
    [{ maxAge: 0 }, "cookie: maxAge must be seconds, an integer from 1 to 34560000"],
    [{ maxAge: 1.5 }, "cookie: maxAge must be seconds"],
    [{ maxAge: 30 * 86_400_000 }, "cookie: maxAge must be seconds"],
    [{ partitioned: "yes" }, "cookie: partitioned must be true or false"],
    [{ priority: "urgent" }, 'cookie: priority must be "low" or "medium" or "high"'],
    [{ name: "__Host-rs" }, 'cookie: browsers accept "__Host-rs" only with secure: true'],
    [{ name: "__Secure-rs", secure: "auto" }, 'cookie: browsers accept "__Secure-rs" only with secure: true'],
    [{ name: "__Secure-rs", secure: false }, 'cookie: browsers accept "__Secure-rs" only with secure: true'],
    [{ name: "__HOST-rs", secure: true, path: "/a" }, 'cookie: browsers accept "__HOST-rs" only with path "/" and'],
    [
      { name: "__Host-rs", secure: true, domain: "a.com" },
      'cookie: browsers accept "__Host-rs" only with path "/" and',
    ],
    [{ name: "__Http-rs" }, 'cookie: browsers accept "__Http-rs" only with secure: true'],
    [
      { name: "__Http-rs", secure: true, httpOnly: false },
      'cookie: browsers accept "__Http-rs" only with httpOnly: true',
    ],
    [{ name: "__Host-Http-rs" }, 'cookie: browsers accept "__Host-Http-rs" only with secure: true'],
    [
      { name: "__host-http-rs", secure: true, httpOnly: false },
      'cookie: browsers accept "__host-http-rs" only with httpOnly: true',
    ],
    [
      { name: "__Host-Http-rs", secure: true, domain: "a.com" },
      'cookie: browsers accept "__Host-Http-rs" only with path "/" and',
    ],
    [{ sameSite: "none", secure: false }, 'cookie: browsers accept sameSite "none" and partitioned only with secure'],
    [{ partitioned: true, secure: false }, 'cookie: browsers accept sameSite "none" and partitioned only with secure'],
  ])("%j", (cookie, message) => {
    expect(refusal(() => make({ cookie }))).toMatchObject({
      name: "invalidValue",
      message: expect.stringContaining(message),
    });
  });

  test.each<[CookieOptions]>([
    [{}],
    [{ name: "__Host-rs", secure: true, path: "/" }],
    [{ name: "__Secure-rs", secure: true, domain: ".example.com", path: "/a b" }],
    [{ name: "__Http-rs", secure: true, domain: ".example.com", path: "/a" }],
    [{ name: "__Host-Http-rs", secure: true }],
    [{ name: "connect.sid" }],
    [{ name: "!#$%&'*+-.^_`|~09azAZ" }],
    [{ sameSite: "none" }],
    [{ maxAge: 400 * 86_400, httpOnly: false, partitioned: true, priority: "medium", domain: "localhost" }],
  ])("nothing about %j", (cookie) => {
    expect(make({ cookie })).toBeTypeOf("function");
  });
});

test("treats an undefined option as absent", async () => {
  const cookie = { name: undefined, path: undefined, sameSite: undefined, httpOnly: undefined, secure: undefined };
  const auth = sessions({
    rs: t.rs,
    app: "webapp",
    secret: SECRET,
    cookie,
    header: undefined,
    onOutage: undefined,
    device: undefined,
    ttl: undefined,
  } as unknown as SessionsOptions<Record<string, never>, string>);
  const site = await t.open({ "/login": (req) => req.rs.create("alice") }, { use: [auth] });
  expect((await site.browser().post("/login")).cookies).toEqual([
    expect.stringMatching(/^rs=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/),
  ]);
});

test.each(["/로그인", "/a b", "/a\r\nX: 1", "", 7])("required throws for the redirect %j", (redirect) => {
  expect(refusal(() => t.auth().required({ redirect: redirect as string }))).toMatchObject({
    name: "invalidValue",
    message: 'required: redirect must be a percent-encoded URL: "/login", or a function that returns one',
  });
});

test("required names an unknown option in its error", () => {
  const auth = t.auth();
  expect(refusal(() => auth.required({ redirct: "/" } as object))).toMatchObject({
    name: "invalidValue",
    message: 'required has no option "redirct". Did you mean "redirect"?',
  });
  expect(refusal(() => auth.required({ redirect: 5 } as object))).toMatchObject({ name: "invalidValue" });
});

test("requires a secret with a cookie, but not with header or read alone", () => {
  expect(make({ secret: undefined, cookie: false, header: true })).toBeTypeOf("function");
  expect(make({ secret: undefined, read: () => undefined, write: () => {} })).toBeTypeOf("function");
  expect(refusal(() => make({ secret: undefined, header: true }))).toMatchObject({ name: "invalidValue" });
});

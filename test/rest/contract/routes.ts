import { describe, expect, test } from "vitest";
import { editFields } from "../../support/session-text.js";
import { type Api, useApi } from "../support/api.js";
import { expectProblem } from "../support/problem.js";

const ANONYMOUS = "x".repeat(64);
const TOKEN = /^[A-Za-z0-9]{64}$/;
const REF = /^[\w-]{27}$/;

/** Checks the answers of every route to valid requests. */
export function describeRoutes(): void {
  const t = useApi();
  const mounted = [{ mount: "" }, { mount: "/sessions/v1" }];

  describe.each(mounted)('mounted at "$mount"', ({ mount }) => {
    const open = (): Promise<Api> => t.open({ mount });

    test("PUT create returns a token and its ref", async () => {
      const api = await open();
      const { status, body, headers } = await api.call("PUT", "/webapp/create/alice?ip=203.0.113.7");
      expect(status).toBe(200);
      expect(headers["content-type"]).toMatch(/^application\/json/);
      expect(body).toEqual({ token: expect.stringMatching(TOKEN), ref: expect.stringMatching(REF) });
      const [session] = (await t.rs.soid({ app: "webapp", id: "alice" })).sessions;
      expect(session).toMatchObject({ ip: "203.0.113.7", ttl: 7200 });
    });

    test("PUT create accepts data, ttl, device, no_resave and absolute", async () => {
      const api = await open();
      const path = "/webapp/create/alice?ip=::1&ttl=300&device=Firefox%20on%20%C3%BC&no_resave=true&absolute=60";
      const { ref } = await api.create(path, { body: { theme: "dark", visits: 3, gone: null } });
      const session = await t.rs.get({ app: "webapp", ref });
      expect(session).toMatchObject({ ip: "::1", device: "Firefox on ü", no_resave: true });
      expect(session?.d).toEqual({ theme: "dark", visits: 3 });
      // `absolute` ends the session before its ttl does.
      expect(session?.ttl).toBeLessThanOrEqual(60);
      const left = await t.db.pttl(`rs:{webapp}:s:${ref}`);
      expect(left).toBeGreaterThan(50_000);
      expect(left).toBeLessThanOrEqual(60_000);
    });

    test.each([
      ["600", 600],
      ["null", null],
    ])("PUT create stores maxAge=%s", async (text, maxAge) => {
      const api = await open();
      const { token } = await api.create(`/webapp/create/alice?ip=::1&maxAge=${text}`);
      expect((await api.get(`/webapp/get/${token}`)).body).toMatchObject({ maxAge, ttl: 7200 });
    });

    test("PUT create applies maxPerUser: ends the oldest sessions or refuses the new one", async () => {
      const api = await open();
      const first = await api.create("/webapp/create/alice?ip=::1");
      const second = await api.create("/webapp/create/alice?ip=::1&maxPerUser=1");
      expect(await t.rs.get({ app: "webapp", ref: first.ref })).toBeNull();
      const refused = await api.call("PUT", "/webapp/create/alice?ip=::1&maxPerUser=1&overflow=reject");
      expectProblem(refused, 409, "ERR_TOO_MANY_SESSIONS", "The user has as many sessions as maxPerUser allows: 1");
      expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions.map(({ ref }) => ref)).toEqual([second.ref]);
    });

    test("GET get returns the session by token, by ref and by header", async () => {
      const api = await open();
      const { token, ref } = await api.create(undefined, { body: { a: 1 } });
      const first = await api.get(`/webapp/get/${token}`);
      const session = { ref, id: "alice", ip: "127.0.0.1", w: 1, ttl: 7200, idle: 0, d: { a: 1 } };
      expect(first.status).toBe(200);
      const times = { created: expect.any(Number), expires: expect.any(Number), authTime: expect.any(Number) };
      expect(first.body).toEqual({ ...session, r: 1, ...times });
      expect((await api.get(`/webapp/get/${ref}`)).body).toMatchObject({ ...session, r: 2 });
      const headers = { "X-Session-Token": token };
      expect((await api.get("/webapp/get/-", { headers })).body).toMatchObject({ ...session, r: 3 });
      expect((await api.get("/webapp/get/-", { headers: { "X-Session-Token": ref } })).body).toMatchObject({ r: 4 });
    });

    test("POST confirm sets authTime, by token and by ref", async () => {
      const api = await open();
      const { token, ref } = await api.create();
      for (const which of [token, ref]) {
        const before = Date.now();
        const { body } = await api.call("POST", `/webapp/confirm/${which}`);
        expect(body).toMatchObject({ ref, r: 1, w: 1 });
        expect((body as { authTime: number }).authTime).toBeGreaterThanOrEqual(before);
      }
      expect((await api.call("POST", `/webapp/confirm/${"x".repeat(64)}`)).body).toEqual({});
    });

    test("GET get?touch=false changes nothing", async () => {
      const api = await open();
      const { token } = await api.create();
      for (const touch of ["false", "false", "true"]) {
        expect((await api.get(`/webapp/get/${token}?touch=${touch}`)).body).toMatchObject({ r: 1 });
      }
      expect((await api.get(`/webapp/get/${token}`)).body).toMatchObject({ r: 2 });
    });

    test("POST set merges data by token, ref and header, and returns the changed session", async () => {
      const api = await open();
      const { token, ref } = await api.create(undefined, { body: { a: 1, b: 2 } });
      const first = await api.call("POST", `/webapp/set/${token}`, { body: { a: null, c: "three" } });
      expect(first.status).toBe(200);
      expect(first.body).toMatchObject({ id: "alice", w: 2, d: { b: 2, c: "three" } });
      await api.call("POST", `/webapp/set/${ref}`, { body: { d: 120.55 } });
      const headers = { "X-Session-Token": token };
      const last = await api.call("POST", "/webapp/set/-", { body: { e: false }, headers });
      expect((last.body as { d: object }).d).toEqual({ b: 2, c: "three", d: 120.55, e: false });
    });

    test("POST set?touch=false does not prolong the session", async () => {
      const api = await open();
      const { token, ref } = await api.create();
      await editFields(t.db, `rs:{webapp}:s:${ref}`, { la: { add: -60_000 } });
      for (const idle of [60, 60]) {
        const { body } = await api.call("POST", `/webapp/set/${token}?touch=false`, { body: { a: 1 } });
        expect(body).toMatchObject({ idle, d: { a: 1 } });
      }
    });

    test("POST setall changes all sessions of the user, without prolonging them", async () => {
      const api = await open();
      const first = await api.create(undefined, { body: { a: 1 } });
      await api.create();
      await api.create("/webapp/create/bob?ip=::1");
      await editFields(t.db, `rs:{webapp}:s:${first.ref}`, { la: { add: -60_000 } });
      const { status, body } = await api.call("POST", "/webapp/setall/alice", { body: { role: "editor", a: null } });
      expect(status).toBe(200);
      expect(body).toEqual({ set: 2 });
      expect((await api.get(`/webapp/get/${first.ref}`)).body).toMatchObject({ idle: 60, w: 2, d: { role: "editor" } });
      expect((await api.call("POST", "/webapp/setall/carol", { body: { a: 1 } })).body).toEqual({ set: 0 });
      expectProblem(await api.call("POST", "/webapp/setall/alice"), 400, "ERR_INVALID_VALUE");
    });

    test("POST increment adds to an integer by token, ref and header, up to max", async () => {
      const api = await open();
      const { token, ref } = await api.create(undefined, { body: { n: 1, text: "x" } });
      const first = await api.call("POST", `/webapp/increment/${token}?key=n`);
      expect(first.status).toBe(200);
      expect(first.body).toEqual({ value: 2, applied: true });
      expect((await api.call("POST", `/webapp/increment/${ref}?key=n&by=-5`)).body).toEqual({
        value: -3,
        applied: true,
      });
      const headers = { "X-Session-Token": token };
      const last = await api.call("POST", "/webapp/increment/-?key=n&by=9&max=5&touch=false", { headers });
      expect(last.body).toEqual({ value: -3, applied: false });
      const large = await api.call("POST", `/webapp/increment/${token}?key=large&by=9007199254740991`);
      expect(large.body).toEqual({ value: Number.MAX_SAFE_INTEGER, applied: true });
      expect((await api.call("POST", `/webapp/increment/${ANONYMOUS}?key=n`)).body).toEqual({});
      const refused = await api.call("POST", `/webapp/increment/${token}?key=text`);
      expectProblem(refused, 400, "ERR_INVALID_VALUE", "increment: d.text is not an integer");
      const rounded = await api.call("POST", `/webapp/increment/${token}?key=n&by=9007199254740993`);
      expectProblem(rounded, 400, "ERR_INVALID_VALUE", /^by must be an integer/);
    });

    test("POST touch prolongs a session by token, ref and header, and sets another ttl", async () => {
      const api = await open();
      const { token, ref } = await api.create();
      const first = await api.call("POST", `/webapp/touch/${token}?ttl=60`);
      expect(first.status).toBe(200);
      expect(first.body).toMatchObject({ ref, r: 1, w: 1, ttl: 60, expires: expect.any(Number) });
      expect((await api.call("POST", `/webapp/touch/${ref}`)).body).toMatchObject({ ref, ttl: 60 });
      const headers = { "X-Session-Token": token };
      expect((await api.call("POST", "/webapp/touch/-?ttl=120", { headers })).body).toMatchObject({ ref, ttl: 120 });
      expect((await api.call("POST", `/webapp/touch/${ANONYMOUS}`)).body).toEqual({});
      const refused = await api.call("POST", `/webapp/touch/${token}?ttl=9`);
      expectProblem(refused, 400, "ERR_INVALID_VALUE", "ttl must be a positive integer >= 10");
    });

    test("POST rotate returns a new token and accepts the old one for grace seconds", async () => {
      const api = await open();
      const { token } = await api.create();
      const { status, body } = await api.call("POST", "/webapp/rotate/-", { headers: { "X-Session-Token": token } });
      expect(status).toBe(200);
      expect(body).toEqual({ token: expect.stringMatching(TOKEN), ref: expect.stringMatching(REF) });
      const { token: newToken, ref } = body as { token: string; ref: string };
      expect((await api.get(`/webapp/get/${token}`)).body).toMatchObject({ ref, id: "alice" });
      expect((await api.call("POST", `/webapp/rotate/${token}`)).body).toEqual({});

      await api.call("POST", `/webapp/rotate/${newToken}?grace=0`);
      expect((await api.get(`/webapp/get/${newToken}`)).body).toEqual({});
    });

    test("POST rotate with confirm=true keeps the old token until the new one is used, and may be repeated", async () => {
      const api = await open();
      const { token } = await api.create();
      const { body } = await api.call("POST", `/webapp/rotate/${token}?confirm=true&grace=0`);
      expect(body).toEqual({ token: expect.stringMatching(TOKEN), ref: expect.stringMatching(REF) });
      expect((await api.get(`/webapp/get/${token}`)).body).toMatchObject({ id: "alice" });
      expect((await api.call("POST", `/webapp/rotate/${token}?confirm=true`)).body).toEqual(body);
      const { token: newToken } = body as { token: string };
      expect((await api.get(`/webapp/get/${newToken}`)).body).toMatchObject({ id: "alice" });
      expect((await api.get(`/webapp/get/${token}`)).body).toEqual({});
    });

    test("GET soid lists the sessions of a user, newest first", async () => {
      const api = await open();
      const first = await api.create();
      await new Promise((resolve) => setTimeout(resolve, 2));
      const second = await api.create();
      await api.create("/webapp/create/bob?ip=127.0.0.1");
      const { status, body } = await api.get("/webapp/soid/alice");
      expect(status).toBe(200);
      expect(body).toMatchObject({ sessions: [{ ref: second.ref }, { ref: first.ref }] });
      expect((body as { sessions: unknown[] }).sessions).toHaveLength(2);
    });

    test("GET soapp lists the sessions of the app in pages", async () => {
      const api = await open();
      const refs = [];
      for (const id of ["alice", "bob", "carol"]) {
        refs.unshift((await api.create(`/webapp/create/${id}?ip=127.0.0.1`)).ref);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      await api.create("/other-app/create/dave?ip=127.0.0.1");
      const listed = async (query: string) =>
        ((await api.get(`/webapp/soapp?${query}`)).body as { sessions: { ref: string }[] }).sessions.map((s) => s.ref);
      expect(await listed("dt=600")).toEqual(refs);
      expect(await listed("dt=600&limit=2")).toEqual(refs.slice(0, 2));
      expect(await listed("dt=600&limit=1&offset=1")).toEqual(refs.slice(1, 2));
      expect(await listed("dt=600&offset=5")).toEqual([]);
    });

    test("GET activity counts users, not sessions", async () => {
      const api = await open();
      for (const id of ["alice", "alice", "bob"]) await api.create(`/webapp/create/${id}?ip=127.0.0.1`);
      const { status, body } = await api.get("/webapp/activity?dt=10");
      expect(status).toBe(200);
      expect(body).toEqual({ activity: 2 });
    });

    test("GET soapp and activity accept deltaTime as an alias of dt", async () => {
      const api = await open();
      const { ref } = await api.create();
      expect((await api.get("/webapp/soapp?deltaTime=60")).body).toMatchObject({ sessions: [{ ref }] });
      expect((await api.get("/webapp/activity?deltaTime=60")).body).toEqual({ activity: 1 });
    });

    test("DELETE kill ends one session, by token, ref or header", async () => {
      const api = await open();
      const [one, two, three] = [await api.create(), await api.create(), await api.create()];
      expect((await api.call("DELETE", `/webapp/kill/${one.token}`)).body).toEqual({ kill: 1 });
      expect((await api.call("DELETE", `/webapp/kill/${one.token}`)).body).toEqual({ kill: 0 });
      expect((await api.call("DELETE", `/webapp/kill/${two.ref}`)).body).toEqual({ kill: 1 });
      const headers = { "X-Session-Token": three.token };
      expect((await api.call("DELETE", "/webapp/kill/-", { headers })).body).toEqual({ kill: 1 });
      expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toEqual([]);
    });

    test("GET soid and soapp list at most 1,000 sessions and return the next offset", async () => {
      const api = await open();
      await Promise.all(Array.from({ length: 1001 }, () => t.rs.create({ app: "webapp", id: "alice", ip: "::1" })));
      for (const path of ["/webapp/soid/alice?", "/webapp/soapp?dt=600&"]) {
        const part = async (query: string) => {
          const { body } = await api.get(path + query);
          const { sessions, next } = body as { sessions: unknown[]; next?: number };
          return [sessions.length, next];
        };
        expect(await part("")).toEqual([1000, 1000]);
        expect(await part("limit=1000")).toEqual([1000, 1000]);
        expect(await part("offset=1")).toEqual([1000, undefined]);
        expect(await part("limit=2&offset=999")).toEqual([2, undefined]);
        expect(await part("limit=2&offset=998")).toEqual([2, 1000]);
        expect(await part("offset=1001")).toEqual([0, undefined]);
        const { status, body } = await api.get(`${path}limit=1001`);
        expect({ status, body }).toMatchObject({
          status: 400,
          body: { code: "ERR_INVALID_VALUE", hint: "at most 1000, not 1001" },
        });
      }
    });

    test("GET soid and soapp limit the size of a list", async () => {
      const api = await open();
      const d = { text: "x".repeat(500_000) };
      await Promise.all(Array.from({ length: 12 }, () => t.rs.create({ app: "webapp", id: "alice", ip: "::1", d })));
      const seen: string[] = [];
      for (let offset: number | undefined = 0; offset !== undefined; ) {
        const { body } = await api.get(`/webapp/soid/alice?offset=${offset}`);
        const { sessions, next } = body as { sessions: { ref: string }[]; next?: number };
        expect(sessions.length).toBeLessThan(6);
        seen.push(...sessions.map(({ ref }) => ref));
        offset = next;
      }
      expect(new Set(seen).size).toBe(12);
    });

    test("DELETE killsoid ends all sessions of a user, except one by token or ref", async () => {
      const api = await open();
      const [one, , , bob] = [
        await api.create(),
        await api.create(),
        await api.create(),
        await api.create("/webapp/create/bob?ip=::1"),
      ];
      expect((await api.call("DELETE", `/webapp/killsoid/alice?except=${one.token}`)).body).toEqual({ kill: 2 });
      await api.create();
      expect((await api.call("DELETE", `/webapp/killsoid/alice?except=${one.ref}`)).body).toEqual({ kill: 1 });
      expect((await api.call("DELETE", "/webapp/killsoid/alice")).body).toEqual({ kill: 1 });
      expect((await api.get(`/webapp/get/${bob.token}`)).body).toMatchObject({ id: "bob" });
    });

    test("DELETE killall ends all sessions of the app and of no other app", async () => {
      const api = await open();
      await api.create();
      await api.create("/webapp/create/bob?ip=127.0.0.1");
      const other = await api.create("/other-app/create/alice?ip=127.0.0.1");
      expect((await api.call("DELETE", "/webapp/killall")).body).toEqual({ kill: 2 });
      expect((await api.get(`/other-app/get/${other.token}`)).body).toMatchObject({ id: "alice" });
    });

    test("GET ping answers PONG as text", async () => {
      const { status, text, headers } = await (await open()).get("/ping");
      expect({ status, text }).toEqual({ status: 200, text: "PONG" });
      expect(headers["content-type"]).toMatch(/^text\/plain/);
    });

    test("GET openapi.json contains the mount path", async () => {
      const { status, body } = await (await open()).get("/openapi.json");
      expect(status).toBe(200);
      expect(body).toMatchObject({ openapi: "3.1.0", servers: [{ url: mount || "/" }] });
    });
  });

  test("returns {}, an empty list or 0 for unknown sessions, users and apps", async () => {
    const api = await t.open();
    const answers: [string, string, object | undefined, unknown][] = [
      ["GET", `/webapp/get/${ANONYMOUS}`, undefined, {}],
      ["POST", `/webapp/set/${ANONYMOUS}`, { a: 1 }, {}],
      ["POST", `/webapp/rotate/${ANONYMOUS}`, undefined, {}],
      ["GET", "/webapp/soid/nobody", undefined, { sessions: [] }],
      ["GET", "/webapp/soapp?dt=60", undefined, { sessions: [] }],
      ["GET", "/webapp/activity?dt=60", undefined, { activity: 0 }],
      ["DELETE", `/webapp/kill/${ANONYMOUS}`, undefined, { kill: 0 }],
      ["DELETE", "/webapp/killsoid/nobody", undefined, { kill: 0 }],
      ["DELETE", "/webapp/killall", undefined, { kill: 0 }],
    ];
    for (const [method, path, body, expected] of answers) {
      const answer = await api.call(method, path, { body });
      expect([path, answer.status, answer.body]).toEqual([path, 200, expected]);
    }
    expect(await t.db.keys("*")).toEqual([]);
  });
}

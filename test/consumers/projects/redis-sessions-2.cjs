// A program for redis-sessions 1 to 3: callbacks, promises made of them, ids that are numbers, and times from the
// environment. For this package only the name in the first line was changed. Only the port is from the test.
var RedisSessions = require("ioredis-sessions");
var util = require("node:util");

var rs = new RedisSessions({
  host: process.env.REDIS_HOST || "127.0.0.1",
  port: parseInt(process.env.REDIS_PORT, 10),
  namespace: "program",
  options: {},
});
var app = "shop";
var users = { alice: { id: 42, name: "Alice" }, bob: { id: 43, name: "Bob" } };
var printed = {};

// Signs a user in, and keeps at most two sessions for each user.
function login(name, ip, done) {
  var user = users[name];
  rs.soid({ app: app, id: user.id }, (err, resp) => {
    if (err) return done(err);
    if (resp.sessions.length < 2) return create(user, ip, done);
    rs.killsoid({ app: app, id: user.id }, (err) => {
      if (err) return done(err);
      create(user, ip, done);
    });
  });
}

function create(user, ip, done) {
  var session = { app: app, id: user.id, ip: ip, ttl: process.env.SESSION_TTL, d: { name: user.name, note: null } };
  rs.create(session, (err, resp) => {
    if (err) return done(err);
    done(null, resp.token);
  });
}

// A middleware in the style of Express.
function checkLogin(req, res, next) {
  var token = req.headers.token;
  if (!token) return res.end(401, "no token");
  rs.get({ app: app, token: token }, (err, session) => {
    if (err) return res.end(500, err.message);
    if (!session?.id) return res.end(401, "no session");
    req.user = users[session.d.name.toLowerCase()];
    req.isOwn = session.id === String(req.user.id);
    next();
  });
}

function visit(token, done) {
  var req = { headers: { token: token } };
  var res = { end: (status, text) => done(`${status} ${text}`) };
  checkLogin(req, res, () => done(`200 ${req.user.name} ${req.isOwn}`));
}

// A data access object with promises.
var sessions = {
  set: (token, d) =>
    new Promise((resolve, reject) => {
      rs.set({ app: app, token: token, d: d }, (err, resp) => {
        if (err) reject(err);
        else resolve(resp);
      });
    }),
  get: util.promisify(rs.get),
  kill: util.promisify(rs.kill),
};

rs.ping((err, pong) => {
  if (err) throw err;
  printed.ping = pong;
  rs.killall({ app: app }, (err) => {
    if (err) throw err;
    run();
  });
});

function run() {
  login("alice", "10.0.0.1", (err, first) => {
    if (err) throw err;
    login("alice", "10.0.0.2", (err, second) => {
      if (err) throw err;
      login("bob", "10.0.0.3", async (err, bobs) => {
        if (err) throw err;
        await work(first, second, bobs);
        rs.quit();
        console.log(JSON.stringify(printed));
      });
    });
  });
}

async function work(first, second, bobs) {
  printed.created = /^[a-zA-Z0-9]{64}$/.test(first) && first !== second;
  printed.visits = [];
  for (const token of [first, undefined, "x".repeat(64), "short"]) {
    printed.visits.push(await new Promise((resolve) => visit(token, resolve)));
  }
  await Promise.all([sessions.set(first, { cart: 1, name: "Alice" }), sessions.set(first, { paid: true })]);
  const changed = await sessions.set(first, { cart: null, total: 12.5 });
  printed.changed = changed.d;
  printed.read = (await sessions.get({ app: app, token: first })).w;

  await new Promise((resolve) => {
    rs.activity({ app: app, dt: "600" }, (err, resp) => {
      printed.activity = err || resp;
      rs.soapp({ app: app, dt: 600 }, (err, resp) => {
        printed.active = err || resp.sessions.map((session) => session.ip).sort();
        resolve();
      });
    });
  });
  printed.killed = await sessions.kill({ app: app, token: bobs });
  printed.again = await sessions.kill({ app: app, token: bobs });

  // The third sign-in of Alice ends the first two.
  const third = await util.promisify(login)("alice", "10.0.0.4");
  printed.signedOut = await new Promise((resolve) => visit(second, resolve));
  printed.signedIn = await new Promise((resolve) => visit(third, resolve));

  printed.errors = [];
  for (const [method, options] of [
    ["create", { id: 42, ip: "10.0.0.1" }],
    ["create", { app: "a b", id: 42, ip: "10.0.0.1" }],
    ["create", { app: app, id: "", ip: "10.0.0.1" }],
    ["create", { app: app, id: 42, ip: "10.0.0.1", ttl: 4 }],
    ["set", { app: app, token: third, d: [] }],
    ["set", { app: app, token: third, d: { list: [1] } }],
    ["kill", { app: app }],
  ]) {
    await new Promise((resolve) => {
      rs[method](options, (err) => {
        printed.errors.push(`${err.name}: ${err.message}`);
        resolve();
      });
    });
  }
}

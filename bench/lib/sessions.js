/** The app of all benchmarks. */
export const APP = "bench";

/** The data of each session: five realistic keys. */
export const DATA = { name: "Alice Example", theme: "dark", visits: 12, newsletter: true, total: 99.5 };

/** The options of `create` for the i-th session. Each user has two sessions. */
export function newSession(i, ttl = 7200) {
  return { app: APP, id: `user${i >> 1}`, ip: "203.0.113.7", ttl, d: DATA };
}

/** A session as express-session passes it to a store. */
export function expressSession(data = DATA) {
  return { cookie: { originalMaxAge: null, expires: null, httpOnly: true, path: "/" }, ...data };
}

/** The i-th session ID, as long as those of express-session. */
export function sidOf(i) {
  return `sid${i}`.padEnd(32, "x");
}

/** Loads a session, as express-session does at the beginning of a request. Returns the request. */
async function load(store, sessionID) {
  const req = { sessionID, sessionStore: store };
  store.createSession(req, await store.get(sessionID));
  return req;
}

/** The store calls of express-session for a request that changes nothing. */
export async function readOnly(store, sessionID) {
  const { session } = await load(store, sessionID);
  await store.touch(sessionID, session.touch());
}

/** The store calls of express-session for a request that writes one key. */
export async function writeOne(store, sessionID, visits) {
  const { session } = await load(store, sessionID);
  session.visits = visits;
  await store.set(sessionID, session);
}

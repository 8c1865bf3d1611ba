/** The app of all benchmarks. */
export const APP = "bench";

/** The data of each session: five keys, as believable as a benchmark's can be. */
export const DATA = { name: "Alice Example", theme: "dark", visits: 12, newsletter: true, total: 99.5 };

/** What `create` takes for the i-th session; two sessions a user. */
export function newSession(i, ttl = 7200) {
  return { app: APP, id: `user${i >> 1}`, ip: "203.0.113.7", ttl, d: DATA };
}

/** A session as express-session gives it to a store. */
export function expressSession(data = DATA) {
  return { cookie: { originalMaxAge: null, expires: null, httpOnly: true, path: "/" }, ...data };
}

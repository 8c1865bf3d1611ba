import { cost, inThousands } from "./measure.js";
import { APP, newSession } from "./sessions.js";

/** The calls that engines are compared in. */
export const NAMES = ["create", "get", "set", "kill"];

/**
 * Measures `count` calls of an engine, see `cost`. get and set use 100 sessions in turn.
 * @param make oneByOne or atOnce
 */
export async function costOfCalls(redis, rs, name, make, count) {
  // The users have two sessions each, also in the next round. With only a few users, Redis stores the index in another way.
  if (name === "create") await redis.admin.flushall();
  const existing = { create: 2000, get: 100, set: 100, kill: count }[name];
  const first = name === "create" ? count : 0;
  const sessions = await inThousands(existing, (i) => rs.create(newSession(first + i)));
  const token = (i) => sessions[i % sessions.length].token;
  const call = {
    create: (i) => rs.create(newSession(i)),
    get: (i) => rs.get({ app: APP, token: token(i) }),
    set: (i) => rs.set({ app: APP, token: token(i), d: { visits: i } }),
    kill: (i) => rs.kill({ app: APP, token: token(i) }),
  }[name];
  return cost(redis, () => make(count, call));
}

import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { RedisSessions } from "../lib/product.js";
import { startSentinel } from "../lib/sentinel.js";

const IP = "203.0.113.7";
/** The number of sessions that exist before the failover and are ended during it. */
const POOL = 9000;
/** The interval between two rounds of calls, in ms. */
const PACE = 20;

const MIN_REPLICAS = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "1"];

/** The options of each client. All clients go through the same failover. */
const CLIENTS = {
  plain: {},
  detector: { failoverDetector: true },
  detector_100: { failoverDetector: true, disconnectTimeout: 100 },
};

/**
 * Signs users in and out through engines on a Sentinel, 50 times a second each, while the master is replaced: by a graceful
 * failover, and when a paused master resumes. Counts the acknowledged logins whose sessions are lost and the acknowledged
 * logouts whose sessions are back, and measures over how long they were acknowledged.
 */
export async function attack() {
  const rows = [];
  for (const [setup, replicas, options] of [
    ["", 1, []],
    [", min-replicas 1 of 1", 1, MIN_REPLICAS],
    [", min-replicas 1 of 2", 2, MIN_REPLICAS],
  ]) {
    for (const [scene, change] of [
      ["graceful failover", graceful],
      ["stopped master wakes", stopAndWake],
    ]) {
      const sentinel = await startSentinel(replicas, options);
      const users = [];
      for (const [app, more] of Object.entries(CLIENTS)) {
        const client = new Redis({ sentinels: sentinel.sentinels, name: sentinel.name, ...more });
        client.on("error", () => {});
        const load = await startLoad(new RedisSessions({ client, wipe: 0 }), app);
        users.push({ client, load, who: Object.keys(more).join(", ") || "no option" });
      }
      await sleep(1000);
      const before = await sentinel.master();
      await change(sentinel, before);
      await sentinel.demoted(before);
      await sleep(2000);
      const { admin } = await sentinel.master();
      for (const { client, load, who } of users) {
        const { lost, spread, silence } = await load.end(admin);
        const measure = `${scene}${setup}; ${who}`;
        for (const kind of ["login", "logout"]) {
          const count = lost.filter((fact) => fact.kind === kind).length;
          rows.push({ measure: `${measure}: ${kind}s lost`, value: count, unit: "" });
        }
        rows.push({ measure: `${measure}: lost over`, value: spread, unit: "ms" });
        rows.push({ measure: `${measure}: no call succeeds for`, value: silence, unit: "ms" });
        client.disconnect();
      }
      await sentinel.stop();
    }
  }
  return rows;
}

async function graceful(sentinel, master) {
  await sentinel.failover();
  await sentinel.switched(master);
}

async function stopAndWake(sentinel, master) {
  master.server.kill("SIGSTOP");
  await sentinel.switched(master);
  await sleep(300);
  master.server.kill("SIGCONT");
}

/** Signs users in and out until `end`. */
async function startLoad(rs, app) {
  const pool = [];
  const facts = [];
  const calls = new Set();
  const answers = [];
  for (let i = 0; i < POOL; i += 300) {
    const some = Array.from({ length: 300 }, (_, n) =>
      rs.create({ app, id: `pool${(i + n) >> 1}`, ip: IP, ttl: 7200 }),
    );
    pool.push(...(await Promise.all(some)));
  }
  let n = 0;
  /** Records acknowledged calls only. A failed call may or may not have taken effect. */
  const call = (kind, promise, refs) => {
    const noted = promise.then(
      (answer) => {
        const at = performance.now();
        answers.push(at);
        for (const ref of refs(answer)) facts.push({ kind, ref, at });
      },
      () => {},
    );
    calls.add(noted);
    void noted.finally(() => calls.delete(noted));
  };
  const tick = () => {
    call("login", rs.create({ app, id: `new${n}`, ip: IP }), ({ ref }) => [ref]);
    // Each user in the pool has two sessions. End one session of one user, and both of the next.
    const [one, , ...both] = pool.slice(4 * n, 4 * n + 4);
    n++;
    if (one === undefined) return;
    call("logout", rs.kill({ app, token: one.token }), () => [one.ref]);
    call("logout", rs.killsoid({ app, id: `pool${2 * n - 1}` }), () => both.map(({ ref }) => ref));
  };
  const timer = setInterval(tick, PACE);
  return {
    /** @param master a client of the current master */
    async end(master) {
      clearInterval(timer);
      await Promise.all(calls);
      await rs.quit();
      const lost = [];
      for (const fact of facts) {
        const exists = await master.exists(`rs:{${app}}:s:${fact.ref}`);
        if ((exists === 1) !== (fact.kind === "login")) lost.push(fact);
      }
      const times = lost.map(({ at }) => at);
      answers.sort((a, b) => a - b);
      const gaps = answers.slice(1).map((at, i) => at - answers[i]);
      return {
        lost,
        spread: lost.length === 0 ? 0 : Math.max(...times) - Math.min(...times),
        silence: Math.max(...gaps),
      };
    },
  };
}

/**
 * Runs the subjects in turn, so that other load on the machine affects all of them equally. Each round has an order of its
 * own, so that no subject profits from its place. A subject is a function that runs one round and returns what it
 * measured. The first round of each subject is a warm-up.
 * @returns what each subject returned, round by round
 */
export async function takeTurns(rounds, subjects, { warmUp = true } = {}) {
  const figures = Object.fromEntries(Object.keys(subjects).map((name) => [name, []]));
  for (let round = warmUp ? -1 : 0; round < rounds; round++) {
    for (const name of shuffle(Object.keys(subjects))) {
      const figure = await subjects[name]();
      if (round >= 0) figures[name].push(figure);
    }
  }
  return figures;
}

/** Puts the list in a random order, all orders being equally likely (Fisher and Yates). */
function shuffle(list) {
  for (let last = list.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [list[last], list[other]] = [list[other], list[last]];
  }
  return list;
}

/**
 * What a call costs: its duration and the processor time of Node and of Redis, in µs, and the number of commands that a
 * client sent for it.
 * @param work makes the calls, and returns their number
 * @param node reads the processor time of Node so far, in µs; by default that of this process
 */
export async function cost(redis, work, node = processorTime) {
  const before = { redis: await redis.usage(), node: await node(), time: performance.now() };
  const calls = await work();
  const after = { time: performance.now(), node: await node(), redis: await redis.usage() };
  // This package sends scripts only, and the peers send none. The statistics also count the commands of scripts.
  const scripts = after.redis.scripts - before.redis.scripts;
  return {
    time: ((after.time - before.time) * 1000) / calls,
    node: (after.node - before.node) / calls,
    redis: (after.redis.cpu - before.redis.cpu) / calls,
    commands: (scripts > 0 ? scripts : after.redis.commands - before.redis.commands) / calls,
  };
}

/** The processor time of this process, in µs. */
export function processorTime() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function percentile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** Returns the minimum, the median and the maximum. */
export function spread(numbers) {
  return { min: Math.min(...numbers), median: median(numbers), max: Math.max(...numbers) };
}

/** The spread of the ratios between two subjects' figures of the same round. */
export function ratio(above, below) {
  return spread(above.map((figure, round) => figure / below[round]));
}

/** Makes `count` calls, each after the answer of the one before. */
export async function oneByOne(count, call) {
  for (let i = 0; i < count; i++) await call(i);
  return count;
}

/** Makes `count` calls, 1,000 at once. */
export async function atOnce(count, call) {
  await inThousands(count, call);
  return count;
}

/** The median duration of `count` sequential calls, in microseconds. */
export async function medianCall(count, call) {
  const times = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await call(i);
    times.push((performance.now() - start) * 1000);
  }
  return median(times);
}

/** Runs the call for each number below `count`, 1,000 at a time. */
export async function inThousands(count, call) {
  const results = [];
  for (let from = 0; from < count; from += 1000) {
    const length = Math.min(1000, count - from);
    for (const result of await Promise.all(Array.from({ length }, (_, i) => call(from + i)))) results.push(result);
  }
  return results;
}

export function mapValues(object, map) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]));
}

/**
 * Runs the subjects in turn (A B A B …), so that other load on the machine affects all of them equally. A subject is a
 * function that runs one round and returns its figure. The first round of each subject is a warm-up.
 * @returns {Promise<Record<string, number[]>>} the figures of each subject's rounds
 */
export async function takeTurns(rounds, subjects, { warmUp = true } = {}) {
  const figures = Object.fromEntries(Object.keys(subjects).map((name) => [name, []]));
  for (let round = warmUp ? -1 : 0; round < rounds; round++) {
    for (const [name, work] of Object.entries(subjects)) {
      const figure = await work();
      if (round >= 0) figures[name].push(figure);
    }
  }
  return figures;
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

/** Microseconds for each of `count` sequential calls. */
export async function oneByOne(count, call) {
  const start = performance.now();
  for (let i = 0; i < count; i++) await call(i);
  return ((performance.now() - start) * 1000) / count;
}

/** Microseconds for each of `count` concurrent calls. */
export async function atOnce(count, call) {
  const start = performance.now();
  await Promise.all(Array.from({ length: count }, (_, i) => call(i)));
  return ((performance.now() - start) * 1000) / count;
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

/** The duration of the work, in milliseconds. */
export async function duration(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
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

/**
 * Lets the subjects take turns, A B A B …: what else the machine does meanwhile falls on all alike.
 * A subject is a function that does a round of the work and gives its figure; the first round of each is a warm-up.
 * @returns {Promise<Record<string, number[]>>} by subject the figures of its rounds
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

/** Minimum, median and maximum. */
export function spread(numbers) {
  return { min: Math.min(...numbers), median: median(numbers), max: Math.max(...numbers) };
}

/** The spread of the ratios of figures that were taken side by side, round by round. */
export function ratio(above, below) {
  return spread(above.map((figure, round) => figure / below[round]));
}

/** Microseconds a call, `count` calls one after the other. */
export async function oneByOne(count, call) {
  const start = performance.now();
  for (let i = 0; i < count; i++) await call(i);
  return ((performance.now() - start) * 1000) / count;
}

/** Microseconds a call, `count` calls at once. */
export async function atOnce(count, call) {
  const start = performance.now();
  await Promise.all(Array.from({ length: count }, (_, i) => call(i)));
  return ((performance.now() - start) * 1000) / count;
}

/** Microseconds of the median call, `count` calls one after the other. */
export async function medianCall(count, call) {
  const times = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await call(i);
    times.push((performance.now() - start) * 1000);
  }
  return median(times);
}

/** Milliseconds that the work takes. */
export async function duration(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Calls for each number below `count`, a thousand at a time. */
export async function inThousands(count, call) {
  const results = [];
  for (let from = 0; from < count; from += 1000) {
    const length = Math.min(1000, count - from);
    for (const result of await Promise.all(Array.from({ length }, (_, i) => call(from + i)))) results.push(result);
  }
  return results;
}

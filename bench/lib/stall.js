/**
 * Watches the event loop and the memory of the process. `longest` is the longest round of the loop, in ms. If the processor
 * time of a round is less than its duration, the processor time counts, because a busy machine may pause the process.
 */
export function watchLoop() {
  let longest = 0;
  let most = 0;
  let last = performance.now();
  let lastUsage = process.cpuUsage();
  let next = setImmediate(look);
  const memory = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 5);
  function look() {
    const now = performance.now();
    const usage = process.cpuUsage();
    const cpu = (usage.user - lastUsage.user + usage.system - lastUsage.system) / 1000;
    longest = Math.max(longest, Math.min(now - last, cpu));
    last = now;
    lastUsage = usage;
    next = setImmediate(look);
  }
  return {
    end() {
      look();
      clearImmediate(next);
      clearInterval(memory);
      return { longest, most: Math.max(most, process.memoryUsage().rss) };
    },
  };
}

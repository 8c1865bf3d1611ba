/**
 * Looks at the event loop all the time: how long its longest round takes, in ms, and how much memory the process has. A
 * round counts with its processor time where that is less than the clock's: on a busy machine the process has to wait.
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

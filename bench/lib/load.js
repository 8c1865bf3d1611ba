import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The script of wrk: sends requests with the cookies in turn, and prints the result as JSON. */
function script(cookies) {
  return `
local cookies = { ${cookies.map((cookie) => JSON.stringify(cookie)).join(", ")} }
local next = 0
request = function()
  next = next % #cookies + 1
  return wrk.format("GET", nil, { Cookie = cookies[next] })
end
done = function(summary)
  local e = summary.errors
  io.write(string.format('\\n{"requests":%d,"duration":%d,"errors":%d}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.timeout + e.status))
end
`;
}

/**
 * Loads a server for a number of seconds. Each connection sends its next request as soon as it has the response. The load
 * comes from wrk, which needs a twentieth of a core. On two cores, a generator in Node would limit the faster servers.
 * @returns the number of requests, and the requests per second
 */
export async function load(url, { connections, seconds, cookies }) {
  const dir = mkdtempSync(join(tmpdir(), "ioredis-sessions-bench-"));
  try {
    const file = join(dir, "requests.lua");
    writeFileSync(file, script(cookies));
    const { stdout } = await run("wrk", ["-t1", `-c${connections}`, `-d${seconds}s`, "-s", file, url]);
    const { requests, duration, errors } = JSON.parse(stdout.slice(stdout.lastIndexOf("\n{")));
    if (errors > 0) throw new Error(`${url}: ${errors} of ${requests} requests failed`);
    return { requests, rate: requests / (duration / 1e6) };
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
    throw new Error("The HTTP suite needs wrk (https://github.com/wg/wrk): apt-get install wrk, or brew install wrk");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

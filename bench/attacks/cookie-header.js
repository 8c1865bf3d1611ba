// Compares the processor time of requests with hostile headers with that of plain requests: a Cookie header of 16 KB that
// repeats our cookie's name thousands of times, and a User-Agent of 16 KB at a sign-in.

import { once } from "node:events";
import { createServer, request } from "node:http";
import { sign } from "cookie-signature";
import { median } from "../lib/measure.js";
import { RedisSessions, sessions } from "../lib/product.js";
import { startRedis } from "../lib/redis.js";

const SECRET = "a secret of the bench";
const ROUNDS = 9;
const REQUESTS = 100;

// By default, Node accepts at most 16 KB for all headers together.
const COOKIES = {
  "rs=%; 3,000 times": "rs=%;".repeat(3000),
  "an encoded value of 15 KB": `rs=${"%41".repeat(5000)}`,
  "other names, all encoded": "a=%41%42%43;".repeat(1250),
  "forged signatures": Array.from({ length: 125 }, (_, i) => `rs=${`${i}`.padStart(64, "A")}.${"A".repeat(43)}`).join(
    "; ",
  ),
  "no value at all": "rs ;".repeat(3750),
  "semicolons and spaces": "; ".repeat(7500),
};

const AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const AGENTS = { "16 KB of x": "x".repeat(15_000), "version/ 1,900 times": "version/".repeat(1900) };

export async function attack() {
  const redis = await startRedis();
  const rs = new RedisSessions({ client: redis.client(), wipe: 0 });
  const auth = sessions({ rs, app: "bench", secret: SECRET });
  const server = createServer((req, res) => {
    if (req.url === "/bare") return res.end();
    auth(req, res, async () => {
      if (req.url === "/login") await req.rs.create("alice");
      else if (req.url === "/me") await req.rs.get();
      res.end();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  const { token } = await rs.create({ app: "bench", id: "alice", ip: "127.0.0.1" });
  const plain = `theme=dark; rs=${encodeURIComponent(sign(token, SECRET))}`;

  async function send(path, headers) {
    const sent = request({ port, path, headers }).end();
    const [response] = await once(sent, "response");
    response.resume();
    await once(response, "end");
  }

  /** Processor time of each request in ms, client and server together. The client costs the same in all rows. */
  async function cpu(path, headers) {
    const start = process.cpuUsage();
    for (let i = 0; i < REQUESTS; i++) await send(path, headers);
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000 / REQUESTS;
  }

  /** Runs both requests in turn. Returns the median ratio, and the median cost of the first request. */
  async function compare(path, hostile, otherPath, other) {
    const figures = [];
    for (let round = -1; round < ROUNDS; round++) {
      const [a, b] = [await cpu(path, hostile), await cpu(otherPath, other)];
      if (round >= 0) figures.push({ a, ratio: a / b });
    }
    return { cost: median(figures.map(({ a }) => a)), ratio: median(figures.map(({ ratio }) => ratio)) };
  }

  const rows = [];
  for (const [what, cookie] of Object.entries(COOKIES)) {
    const besidePlain = await compare("/me", { cookie }, "/me", { cookie: plain });
    const besideBare = await compare("/me", { cookie }, "/bare", { cookie });
    rows.push(
      { measure: `Cookie: ${what}: processor time a request`, value: besidePlain.cost, unit: "ms" },
      { measure: `Cookie: ${what}: beside a plain cookie`, value: besidePlain.ratio, unit: "×", limit: 3 },
      { measure: `Cookie: ${what}: beside the same without sessions`, value: besideBare.ratio, unit: "×", limit: 3 },
    );
  }
  for (const [what, agent] of Object.entries(AGENTS)) {
    const { cost, ratio } = await compare("/login", { "user-agent": agent }, "/login", { "user-agent": AGENT });
    rows.push(
      { measure: `User-Agent: ${what}: processor time a sign-in`, value: cost, unit: "ms" },
      { measure: `User-Agent: ${what}: beside a plain one`, value: ratio, unit: "×", limit: 3 },
    );
  }
  server.close();
  redis.stop();
  return rows;
}

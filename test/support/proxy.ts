import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { freePort } from "./redis.js";

/** A TCP proxy whose connections can stop transferring data without being closed, as behind a NAT. */
export interface TestProxy {
  readonly port: number;
  /** Discards all data of the open connections from now on, in both directions. New connections work. */
  swallow(): void;
  /** Keeps back what Redis sends on a connection from now on. The first connection has the number 0. */
  hold(connection: number): void;
  /** Delivers what was kept back, and all that follows. */
  release(connection: number): void;
  /** The number of connections so far. */
  readonly accepted: number;
  stop(): Promise<void>;
}

/**
 * Starts a proxy to a port of this machine.
 * @param delay how long data waits on its way to that port, in ms
 */
export async function startProxy(to: number, { delay = 0 } = {}): Promise<TestProxy> {
  const port = await freePort();
  const open = new Set<[client: Socket, server: Socket]>();
  const all: [client: Socket, server: Socket][] = [];
  let accepted = 0;
  const proxy = createServer((client) => {
    accepted++;
    const server = connect(to, "127.0.0.1");
    if (delay === 0) client.pipe(server);
    else client.on("data", (chunk) => setTimeout(() => server.write(chunk), delay)).on("end", () => server.end());
    server.pipe(client);
    const pair: [Socket, Socket] = [client, server];
    open.add(pair);
    all.push(pair);
    for (const socket of pair) {
      socket.on("error", () => {});
      socket.on("close", () => open.delete(pair));
    }
  }).listen(port, "127.0.0.1");
  await once(proxy, "listening");
  return {
    port,
    get accepted() {
      return accepted;
    },
    swallow() {
      for (const [client, server] of open) {
        client.unpipe(server);
        server.unpipe(client);
        client.resume();
        server.resume();
      }
    },
    hold(connection) {
      const [client, server] = all[connection] as [Socket, Socket];
      server.unpipe(client);
      server.pause();
    },
    release(connection) {
      const [client, server] = all[connection] as [Socket, Socket];
      server.pipe(client);
    },
    async stop() {
      for (const pair of open) for (const socket of pair) socket.destroy();
      proxy.close();
      await once(proxy, "close");
    },
  };
}

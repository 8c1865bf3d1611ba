import { SessionError } from "../errors.js";
import type { KeyServer } from "./client.js";
import type { Connection } from "./connection.js";
import { toNumber } from "./reply.js";

/** How long a replica may take to confirm, in ms. */
const MAX_WAIT = 1000;

/** How often the replicas of the servers are counted, in ms. */
const COUNT_INTERVAL = 10_000;

/** Waits until replicas have what was written, so that it is not lost when its server dies. */
export class Replicas {
  readonly #connection: Connection;
  /** The servers that have replicas. */
  #servers: readonly KeyServer[] = [];
  /** When they were counted, on the clock of performance.now(). */
  #countedAt = Number.NEGATIVE_INFINITY;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Resolves when each server that has replicas has one with all that this client has read or written there.
   * @throws SessionError `redisError` if one does not confirm that in a second
   */
  async confirm(): Promise<void> {
    if (performance.now() - this.#countedAt >= COUNT_INTERVAL) await this.#count();
    await Promise.all(this.#servers.map((server) => this.#confirm(server)));
  }

  async #count(): Promise<void> {
    const servers = await this.#connection.client.keyServers();
    const counts = await Promise.all(servers.map((server) => this.#countOf(server)));
    this.#servers = servers.filter((_, i) => (counts[i] as number) > 0);
    this.#countedAt = performance.now();
  }

  /** On a Cluster, also replicas that are not connected at the moment: they may take over all the same. */
  async #countOf(server: KeyServer): Promise<number> {
    const { client } = this.#connection;
    if (!client.isCluster) {
      const info = String(await this.#connection.command(() => server.call("INFO", "replication")));
      return Number(/^connected_slaves:(\d+)/m.exec(info)?.[1] ?? 0);
    }
    const text = String(await this.#connection.command(() => server.call("CLUSTER", "NODES")));
    const nodes = text.split("\n").map((line) => line.split(" "));
    const [id] = nodes.find(([, , flags = ""]) => flags.includes("myself")) ?? [];
    return nodes.filter(([, , , master]) => master === id).length;
  }

  async #confirm(server: KeyServer): Promise<void> {
    const deadline = this.#connection.deadline() + MAX_WAIT;
    const confirmed = await this.#connection.command(() => server.call("WAIT", "1", String(MAX_WAIT)), deadline);
    if (toNumber(confirmed) > 0) return;
    throw new SessionError("redisError", `No replica of a Redis server has confirmed a write within ${MAX_WAIT} ms`, {
      hint: "if that server died now, writes would be lost: wait until its replicas are in sync, or remove them",
    });
  }
}

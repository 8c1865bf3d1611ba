import type { EventEmitter } from "node:events";
import { Cluster, Redis } from "ioredis";
import { Cluster as Cluster5, Redis as Redis5 } from "ioredis5";
import { Redis as Valkey, Cluster as ValkeyCluster } from "iovalkey";
import { createClient, createCluster, createSentinel } from "redis";
import {
  createClient as createClient5,
  createCluster as createCluster5,
  createSentinel as createSentinel5,
} from "redis5";
import type { Client } from "../../src/index.js";

/** A client of one of the supported packages. */
export interface TestClient {
  readonly client: Client;
  close(): void;
}

/** Package → opens a client of the server on a port. It retries soon, and `error` events are ignored. */
export const CLIENTS: { readonly [name: string]: (port: number) => TestClient } = {
  "ioredis 5": (port) => ofIoredis(new Redis5({ port, retryStrategy })),
  "ioredis 6": (port) => ofIoredis(new Redis({ port, retryStrategy })),
  iovalkey: (port) => ofIoredis(new Valkey({ port, retryStrategy })),
  "node-redis 5": (port) => ofNodeRedis(createClient5({ socket: { port, reconnectStrategy: retryStrategy } })),
  "node-redis 6": (port) => ofNodeRedis(createClient({ socket: { port, reconnectStrategy: retryStrategy } })),
};

export const CLIENT_NAMES = Object.keys(CLIENTS);

/** Package → opens a client of a Cluster with nodes on these ports. */
export const CLUSTERS: { readonly [name: string]: (ports: number[]) => TestClient } = {
  "ioredis 5": (ports) => ofIoredis(new Cluster5(ports)),
  "ioredis 6": (ports) => ofIoredis(new Cluster(ports)),
  iovalkey: (ports) => ofIoredis(new ValkeyCluster(ports)),
  "node-redis 5": (ports) => ofNodeRedis(createCluster5(clusterOptions(ports))),
  "node-redis 6": (ports) => ofNodeRedis(createCluster(clusterOptions(ports))),
};

function clusterOptions(ports: number[]) {
  return {
    rootNodes: ports.map((port) => ({ socket: { host: "127.0.0.1", port } })),
    defaults: { socket: { reconnectStrategy: retryStrategy } },
  };
}

/** Opens a client of this package. */
export function openClient(name: string, port: number): TestClient {
  const open = CLIENTS[name];
  if (open === undefined) throw new Error(`No client is named ${name}`);
  return open(port);
}

/** Where the Sentinels are. */
interface Sentinels {
  readonly name: string;
  readonly sentinels: { host: string; port: number }[];
}

/** Package → opens a client of a Sentinel's master, with the options that the docs recommend. */
export const SENTINELS: { readonly [name: string]: (sentinels: Sentinels) => TestClient } = {
  "ioredis 5": (sentinels) => ofIoredis(new Redis5(sentinelOptions(sentinels))),
  "ioredis 6": (sentinels) => ofIoredis(new Redis(sentinelOptions(sentinels))),
  iovalkey: (sentinels) => ofIoredis(new Valkey(sentinelOptions(sentinels))),
  "node-redis 5": ({ name, sentinels }) => ofNodeRedis(createSentinel5({ name, sentinelRootNodes: sentinels })),
  "node-redis 6": ({ name, sentinels }) => ofNodeRedis(createSentinel({ name, sentinelRootNodes: sentinels })),
};

function sentinelOptions({ name, sentinels }: Sentinels) {
  return { name, sentinels, failoverDetector: true, disconnectTimeout: 100, socketTimeout: 3000 };
}

function retryStrategy(): number {
  return 50;
}

export function ofIoredis(client: EventEmitter & Client & { disconnect(): void }): TestClient {
  client.on("error", () => {});
  return { client, close: () => client.disconnect() };
}

/** The parts of a client of node-redis that both versions have. */
interface NodeRedis {
  readonly isOpen: boolean;
  connect(): Promise<unknown>;
  destroy(): unknown;
  on(event: "error", listener: () => void): unknown;
  sendCommand(...args: never): Promise<unknown>;
  withTypeMapping(mapping: object): unknown;
}

export function ofNodeRedis(client: NodeRedis): TestClient {
  client.on("error", () => {});
  client.connect().catch(() => {});
  return {
    client,
    close: () => {
      if (client.isOpen) client.destroy();
    },
  };
}

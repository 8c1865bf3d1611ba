import { errorMonitor } from "node:events";
import type { Redis, RedisOptions } from "ioredis";
import type { Client } from "../types.js";

/** The last connection error of each client that is watched, until the client is ready again. */
const connectionErrors = new WeakMap<Client, Error>();

/** The listeners of a client, and how many engines need them. */
interface Watch {
  engines: number;
  stop(): void;
}

const watches = new WeakMap<Client, Watch>();

/**
 * Why a client is not ready, to be the `cause` of an error. Returns undefined if that is not known. The error has no
 * password and none of the client's commands.
 */
export function connectionErrorOf(client: Client): Error | undefined {
  const stream = streamOf(client);
  // A server without TLS waits silently for the rest of what it takes for a command.
  const isHandshaking = client.status === "connecting" && stream?.encrypted && !stream.connecting && !stream.destroyed;
  return connectionErrors.get(client) ?? (isHandshaking ? notOpened(client) : undefined);
}

/**
 * Remembers the connection errors of a client, until the returned function is called. It adds no listener for "error": with
 * one, ioredis would no longer print the errors of a client without a listener of the user's, and node-redis would no longer
 * throw them.
 */
export function watchErrors(client: Client): () => void {
  const watch = watches.get(client) ?? startWatch(client);
  watches.set(client, watch);
  watch.engines++;
  return () => {
    if (--watch.engines > 0) return;
    watch.stop();
    watches.delete(client);
  };
}

function startWatch(client: Client): Watch {
  let wasReady = client.status === "ready";
  const listeners = {
    [errorMonitor]: (error: Error & { lastNodeError?: unknown }) => {
      // A Cluster says only that all nodes failed. Each "node error" has said why.
      if (!error.lastNodeError) rememberError(client, error);
    },
    "node error": (error: Error, node: string) => {
      // While other nodes serve, no "ready" follows with which the error would be forgotten.
      if (client.status !== "ready") rememberError(client, new Error(`${node}: ${error.message}`));
    },
    // ioredis emits "error" only if the user has a listener for it, so look at the connection as well.
    close: () => {
      const error = streamOf(client)?.errored;
      // After `disconnect` the status is "end".
      const isUnexplained = !wasReady && client.status !== "end" && !connectionErrors.has(client);
      wasReady = false;
      if (error) rememberError(client, error);
      else if (isUnexplained && !client.isCluster) rememberError(client, notOpened(client));
    },
    ready: () => {
      wasReady = true;
      connectionErrors.delete(client);
    },
  };
  // ownKeys has a wider type. It includes the symbol, which Object.keys leaves out.
  const events = Reflect.ownKeys(listeners) as (keyof typeof listeners)[];
  for (const event of events) client.on(event, listeners[event]);
  const stop = () => {
    for (const event of events) client.off(event, listeners[event]);
  };
  return { engines: 0, stop };
}

/**
 * Remembers why a client is not ready. Must also be called with an error reply that a command got before the client was
 * ready, such as the reply to a wrong password: without a listener of the user's, ioredis emits no event for it.
 */
export function rememberError(client: Client, error: Error): void {
  // Copy only the text: ioredis attaches the command, whose arguments may be a password.
  connectionErrors.set(client, new Error(textOf(error).replace(/:\/\/\S*@/g, "://***@")));
}

/** The message of an error. If a host has several addresses, Node's own message is empty, so name each address. */
function textOf(error: Error & { code?: string }): string {
  if (error.message !== "") return error.message;
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(textOf).join(", ");
  return `${error.code}`;
}

type Stream = Redis["stream"] & { encrypted?: true };

/** The connection of a client. A Cluster has none. */
function streamOf(client: Client): Stream | undefined {
  return (client as Redis).stream;
}

/** The error of a connection that was closed, or is silent, before the client was ready. */
function notOpened(client: Client): Error {
  const { host, port, path } = client.options as RedisOptions;
  const server = path ?? `${host}:${port}`;
  if (streamOf(client)?.encrypted) return new Error(`The TLS handshake with ${server} was not completed`);
  return new Error(`The connection to ${server} was closed before it was ready`);
}

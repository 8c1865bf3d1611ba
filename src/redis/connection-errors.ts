import { errorMonitor } from "node:events";
import type { Cluster, Redis, RedisOptions } from "ioredis";

/**
 * Remembers why an ioredis client is not ready, while somebody watches it. It adds no listener for "error": with one,
 * ioredis would no longer print the errors of a client without a listener of the user's.
 */
export class ConnectionErrors {
  readonly #redis: Redis | Cluster;
  #error: Error | undefined;
  #wasReady = false;
  #watchers = 0;

  constructor(redis: Redis | Cluster) {
    this.#redis = redis;
  }

  /** Watches the client until the returned function is called, which leaves the client as it was. */
  watch(): () => void {
    if (this.#watchers++ === 0) this.#start();
    return () => {
      if (--this.#watchers === 0) this.#stop();
    };
  }

  #start(): void {
    this.#wasReady = this.#redis.status === "ready";
    this.#redis.on(errorMonitor, this.#onError).on("node error", this.#onNodeError);
    this.#redis.on("close", this.#onClose).on("ready", this.#onReady);
  }

  #stop(): void {
    this.#redis.off(errorMonitor, this.#onError).off("node error", this.#onNodeError);
    this.#redis.off("close", this.#onClose).off("ready", this.#onReady);
    this.#error = undefined;
  }

  readonly #onError = (error: Error & { lastNodeError?: unknown }): void => {
    // A Cluster says only that all nodes failed. Each "node error" has said why.
    if (!error.lastNodeError) this.remember(error);
  };

  readonly #onNodeError = (error: Error, node: string): void => {
    // While other nodes serve, no "ready" follows with which the error would be forgotten.
    if (this.#redis.status !== "ready") this.remember(new Error(`${node}: ${error.message}`));
  };

  /** ioredis emits "error" only if the user has a listener for it, so look at the connection as well. */
  readonly #onClose = (): void => {
    const error = this.#stream?.errored;
    // After `disconnect` the status is "end".
    const isUnexplained = !this.#wasReady && this.#redis.status !== "end" && this.#error === undefined;
    this.#wasReady = false;
    if (error) this.remember(error);
    else if (isUnexplained && !this.#redis.isCluster) this.remember(this.#notOpened());
  };

  readonly #onReady = (): void => {
    this.#wasReady = true;
    this.#error = undefined;
  };

  /** The last error until the client is ready again. It contains no password and none of the client's commands. */
  get last(): Error | undefined {
    const stream = this.#stream;
    // A server without TLS waits silently for the rest of what it takes for a command.
    const isHandshaking =
      this.#redis.status === "connecting" && stream?.encrypted && !stream.connecting && !stream.destroyed;
    return this.#error ?? (isHandshaking ? this.#notOpened() : undefined);
  }

  remember(error: Error): void {
    // Copy only the text: ioredis attaches the command, whose arguments may be a password.
    this.#error = new Error(textOf(error).replace(/:\/\/\S*@/g, "://***@"));
  }

  /** The connection of the client. A Cluster has none. */
  get #stream(): (Redis["stream"] & { encrypted?: true }) | undefined {
    return (this.#redis as Redis).stream;
  }

  /** The error of a connection that was closed, or is silent, before the client was ready. */
  #notOpened(): Error {
    const { host, port, path } = this.#redis.options as RedisOptions;
    const server = path ?? `${host}:${port}`;
    if (this.#stream?.encrypted) return new Error(`The TLS handshake with ${server} was not completed`);
    return new Error(`The connection to ${server} was closed before it was ready`);
  }
}

/** The message of an error. If a host has several addresses, Node's own message is empty, so name each address. */
export function textOf(error: Error & { code?: string }): string {
  if (error.message !== "") return error.message;
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(textOf).join(", ");
  return `${error.code}`;
}

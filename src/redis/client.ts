import type { EventEmitter } from "node:events";
import type { Script } from "./script.js";

/** A run of a script, as a client sends it. */
export interface ScriptCall {
  readonly script: Script;
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
  /** On the clock of `performance.now()`. A client that queues the call must not send it after that. */
  readonly deadline: number;
}

/**
 * The plain commands that the sessions need, with the names and arguments of ioredis. Integers may come as strings; read
 * them with `toNumber()` of reply.ts.
 */
export interface Commands {
  del(key: string): Promise<unknown>;
  exists(...keys: string[]): Promise<unknown>;
  get(key: string): Promise<string | null>;
  getrangeBuffer(key: string, start: number, end: number): Promise<Buffer>;
  hget(key: string, field: string): Promise<string | null>;
  hmget(key: string, ...fields: string[]): Promise<(string | null)[]>;
  hstrlen(key: string, field: string): Promise<unknown>;
  info(section: string): Promise<string>;
  mget(...keys: string[]): Promise<(string | null)[]>;
  pexpire(key: string, ms: number): Promise<unknown>;
  ping(): Promise<string>;
  pttl(key: string): Promise<unknown>;
  set(key: string, value: string | number, option: "NX"): Promise<string | null>;
  set(key: string, value: string | number, option: "PX", ms: number): Promise<string | null>;
  srem(key: string, member: string): Promise<unknown>;
  strlen(key: string): Promise<unknown>;
  xrange(key: string, from: string, to: "+", option: "COUNT", count: number): Promise<[id: string, fields: string[]][]>;
  zadd(key: string, score: number, member: string): Promise<unknown>;
  zcard(key: string): Promise<unknown>;
  zcount(key: string, min: number, max: "+inf"): Promise<unknown>;
  zrangebylex(key: string, min: string, max: string, option: "LIMIT", offset: number, count: number): Promise<string[]>;
  zrem(key: string, member: string): Promise<unknown>;
  zscan(key: string, cursor: string, option: "COUNT", count: number): Promise<[cursor: string, entries: string[]]>;
}

/** A server that has keys: the server of a client, or a master of a Cluster. */
export interface KeyServer {
  /** Reads a page of the names of keys of a type, with the client's key prefix, as the command SCAN does. */
  scan(cursor: string, match: string, count: number, type: string): Promise<[cursor: string, keys: string[]]>;
  /** Sends a command that names no key, on the same connection as the commands for this server's keys. */
  call(name: string, ...args: string[]): Promise<unknown>;
}

/** A connection that only subscribes. It does not reconnect. */
export interface SubscriberConnection {
  /** Resolves when Redis has confirmed the subscription. */
  subscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  /** Resolves when Redis has answered on this connection. */
  ping(): Promise<unknown>;
  close(): void;
}

export interface SubscriberEvents {
  /** Called for the messages in the order of Redis. */
  onMessage(channel: string, message: string): void;
  /** Called when messages may have been missed. The connection must then be closed, and may call this again. */
  onLost(): void;
}

/** A client of Redis, as the engine needs it. One file for each library implements it. */
export interface RedisClient {
  readonly isCluster: boolean;
  /** Whether the client would write a command to the connection at once, and not queue it. */
  readonly isReady: boolean;
  /** The state in the words of the library. "ready" if the client is connected. */
  readonly status: string;
  /** Whether the client has given up or was closed, so that it does not connect again by itself. */
  readonly isClosed: boolean;
  /** Why the client is not connected. Undefined if that is not known. */
  readonly lastError: Error | undefined;
  /**
   * Must be called by each engine that uses the client, for `lastError`. Returns a function to call when the engine is
   * closed.
   */
  watch(): () => void;
  /** How to make the client replace a connection on which Redis does not answer. Undefined if it does so. */
  readonly silenceRemedy: string | undefined;
  /** Runs a script by its hash. */
  evalsha(call: ScriptCall): Promise<unknown>;
  /** Runs a script by its source. */
  eval(call: ScriptCall): Promise<unknown>;
  /** Calls `send`. What it sends leaves in one write for each connection, because a write costs more than a command. */
  inOneWrite(send: () => void): void;
  /** What the client puts before the name of every key. */
  readonly keyPrefix: string;
  /** The servers that together have all keys. */
  keyServers(): Promise<readonly KeyServer[]>;
  /** The plain commands. If the client queues one, it must not send it after the deadline. */
  commands(deadline: number): Commands;
  /**
   * Asks Redis for a sign of life. A client that is not connected answers when it is, and rejects for the reasons for
   * which it would reject any command.
   */
  ping(): Promise<unknown>;
  /**
   * Opens another connection with the options of the client. On a Cluster it leads to the node that serves the channel.
   * @param channel as the connection's methods take it: without the key prefix of the client
   */
  openSubscriber(channel: string, events: SubscriberEvents): Promise<SubscriberConnection>;
  /** Calls the listener when the client is connected, or when the connection was lost or could not be opened. */
  on(event: "ready" | "close", listener: () => void): void;
  off(event: "ready" | "close", listener: () => void): void;
}

/** The listeners of a client, and for each one whether it was last told that the client is connected. */
type Listeners = Map<EventEmitter, boolean>;

/** One set of listeners for each client: with more than ten stores on one, Node would warn of a memory leak. */
const watched = new WeakMap<RedisClient, Listeners>();

/**
 * Emits "disconnect" on `listener` when the connection is lost and "connect" when it is back, each once. These are the
 * events of express-session's stores.
 */
export function watchOutage(client: RedisClient, listener: EventEmitter): void {
  const listeners = watched.get(client) ?? watch(client);
  // If the connection is down already, the next failed attempt emits "disconnect".
  listeners.set(listener, true);
}

function watch(client: RedisClient): Listeners {
  const listeners: Listeners = new Map();
  watched.set(client, listeners);
  const emit = (event: string, connected: boolean) => {
    for (const [listener, before] of listeners) {
      if (before === connected) continue;
      listeners.set(listener, connected);
      listener.emit(event);
    }
  };
  client.on("close", () => emit("disconnect", false));
  client.on("ready", () => emit("connect", true));
  return listeners;
}

import { EventEmitter, setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { invalidValue, SessionError } from "../errors.js";
import type { NodeRedisLike } from "../types.js";
import type { Commands, KeyServer, RedisClient, ScriptCall, SubscriberConnection, SubscriberEvents } from "./client.js";
import { textOf } from "./connection-errors.js";
import { isUnsent } from "./gate.js";
import { checkKeyPrefix } from "./key-prefix.js";
import { openNodeSubscriber, type RawNode, type RawSubscriber, SentinelSubscriber } from "./node-redis-subscriber.js";

/** How a reply is converted: type of RESP → class. Without a mapping node-redis returns strings and numbers. */
type TypeMapping = { readonly [type: number]: unknown };

const NO_MAPPING: TypeMapping = {};

/** The command options of node-redis that the engine sets, so that those of the client do not apply. */
interface SendOptions {
  typeMapping: TypeMapping;
  /** Removes the command from the client's queue if it is not sent by then. */
  abortSignal: AbortSignal | undefined;
  /** A timer for each command, which node-redis 6 would set. */
  timeout: undefined;
  /** Whether the command overtakes those in the queue. */
  asap: false;
}

/** Options of a command that may be sent late, because it changes nothing. */
const PLAIN: SendOptions = { typeMapping: NO_MAPPING, abortSignal: undefined, timeout: undefined, asap: false };

/** The RESP type of the replies to GET and GETRANGE: bulk strings. */
const BLOB_STRING = 36;

/** The members of each kind of client that the engine uses. */
interface AnyRaw extends NodeRedisLike {
  readonly isReady?: boolean;
  /** The key prefix, since version 6.3. It is not part of the public interface, but `sendCommand` ignores the prefix. */
  readonly _keyPrefix?: string;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
}

interface RawClient extends AnyRaw, RawNode {
  readonly isOpen: boolean;
  readonly options?: {
    disableOfflineQueue?: boolean;
    socket?: { socketTimeout?: number; reconnectStrategy?: unknown };
  };
  sendCommand(args: readonly string[], options?: SendOptions): Promise<unknown>;
}

interface RawCluster extends AnyRaw {
  readonly masters: readonly { client?: { isReady: boolean } }[];
  sendCommand(
    firstKey: string | undefined,
    isReadonly: boolean,
    args: readonly string[],
    options?: SendOptions,
  ): Promise<unknown>;
  getRandomNode(): object;
  nodeClient(node: object): Promise<RawClient>;
}

interface RawSentinel extends AnyRaw, RawSubscriber {
  /** Undefined while the client is not connected to the master. */
  getMasterNode(): object | undefined;
  sendCommand(isReadonly: boolean, args: readonly string[], options?: SendOptions): Promise<unknown>;
}

/** Events after which a client may have lost its connection, and after which it may be ready. Not every kind has each. */
const LOSSES = ["error", "end", "reconnecting", "node-error", "node-reconnecting", "disconnect"];
const GAINS = ["ready", "connect", "node-ready", "topology-change"];

/** How often to look whether a client is ready again, in ms: clusters and sentinels of version 5 do not tell. */
const LOOK_INTERVAL = 50;

/** How much earlier than its deadline a command may be removed from the client's queue, in ms. */
const EARLY = 10;

abstract class NodeRedisClient<Raw extends AnyRaw> implements RedisClient {
  readonly isCluster: boolean = false;
  lastError: Error | undefined;
  protected readonly raw: Raw;
  readonly keyPrefix: string;
  readonly #events = new EventEmitter();
  #wasReady = false;
  #isLooking = false;
  /** Shared by the commands whose deadlines are at most EARLY later than that of the signal. */
  #signal: AbortSignal | undefined;
  #signalDeadline = Number.POSITIVE_INFINITY;

  constructor(raw: Raw) {
    this.raw = raw;
    this.keyPrefix = raw._keyPrefix ?? "";
    checkKeyPrefix(this.keyPrefix);
    this.#events.setMaxListeners(0);
    // Without a listener for "error" node-redis would end the process when the connection is lost.
    for (const event of LOSSES) raw.on(event, this.#onLoss);
    for (const event of GAINS) raw.on(event, this.#onGain);
    this.#onGain();
  }

  abstract get isReady(): boolean;

  /** The listeners stay: without the one for "error", a lost connection would end the process. */
  watch(): () => void {
    return () => {};
  }

  get isClosed(): boolean {
    return !this.raw.isOpen;
  }

  get status(): string {
    if (this.isClosed) return "closed";
    return this.isReady ? "ready" : "connecting";
  }

  get silenceRemedy(): string | undefined {
    return undefined;
  }

  evalsha({ script, keys, args, deadline }: ScriptCall): Promise<unknown> {
    return this.#script("EVALSHA", script.sha, keys, args, deadline);
  }

  eval({ script, keys, args, deadline }: ScriptCall): Promise<unknown> {
    return this.#script("EVAL", script.source, keys, args, deadline);
  }

  /** node-redis itself sends all commands of a round of the event loop in one write. */
  inOneWrite(send: () => void): void {
    send();
  }

  commands(deadline: number): Commands {
    return new NodeRedisCommands(this.keyPrefix, (key, args, typeMapping) =>
      this.send(key, args, this.#options(deadline, typeMapping)),
    );
  }

  keyServers(): Promise<readonly KeyServer[]> {
    return Promise.resolve([keyServer((args) => this.send(undefined, args, PLAIN))]);
  }

  ping(): Promise<unknown> {
    if (this.isClosed) return Promise.reject(this.closedError());
    if (!this.isReady) this.#onLoss();
    return this.probe();
  }

  abstract openSubscriber(channel: string, events: SubscriberEvents): Promise<SubscriberConnection>;

  on(event: "ready" | "close", listener: () => void): void {
    this.#events.on(event, listener);
  }

  off(event: "ready" | "close", listener: () => void): void {
    this.#events.off(event, listener);
  }

  /** Sends a command. @param key the first key; undefined for PING */
  protected abstract send(key: string | undefined, args: readonly string[], options: SendOptions): Promise<unknown>;

  /** Sends a PING to any server. */
  protected abstract probe(): Promise<unknown>;

  /** Resolves when the client is ready, and rejects when it is closed. */
  protected async untilReady(): Promise<void> {
    for (; !this.isReady; await sleep(LOOK_INTERVAL, undefined, { ref: false })) {
      if (this.isClosed) throw this.closedError();
    }
  }

  protected closedError(): SessionError {
    const isNew = !this.#wasReady && this.lastError === undefined;
    return new SessionError("unavailable", isNew ? "The client is not connected" : "The client is closed", {
      hint: isNew
        ? "call `await client.connect()` before the first call"
        : "it was closed or has given up reconnecting: see its reconnectStrategy",
      cause: this.lastError,
    });
  }

  #script(
    name: string,
    script: string,
    keys: readonly string[],
    args: readonly (string | number)[],
    deadline: number,
  ): Promise<unknown> {
    const all = [name, script, `${keys.length}`];
    for (const key of keys) all.push(this.keyPrefix + key);
    for (const arg of args) all.push(`${arg}`);
    return this.send(all[3], all, this.#options(deadline));
  }

  #options(deadline: number, typeMapping = NO_MAPPING): SendOptions {
    return { typeMapping, abortSignal: this.#signalFor(deadline), timeout: undefined, asap: false };
  }

  /**
   * Returns a signal that is aborted at the deadline or up to EARLY before it. node-redis may queue a command although the
   * client is ready, and would send it after its call was told `timeout`, when the connection is back.
   */
  #signalFor(deadline: number): AbortSignal {
    const later = deadline - this.#signalDeadline;
    if (this.#signal === undefined || !(later >= 0 && later < EARLY)) {
      this.#signalDeadline = deadline;
      this.#signal = AbortSignal.timeout(Math.max(0, Math.floor(deadline - performance.now())));
      setMaxListeners(0, this.#signal);
    }
    return this.#signal;
  }

  readonly #onLoss = (error?: unknown): void => {
    if (this.isReady) return;
    // A sentinel also emits texts, and some events have other arguments.
    if (error instanceof Error || typeof error === "string") this.lastError = toError(error);
    if (this.#wasReady || this.lastError !== undefined) this.#events.emit("close");
    if (this.#isLooking || this.isClosed) return;
    this.#isLooking = true;
    const end = () => {
      this.#isLooking = false;
    };
    this.untilReady()
      .then(this.#onGain, () => {})
      .finally(end);
  };

  readonly #onGain = (): void => {
    if (!this.isReady) return;
    this.#wasReady = true;
    this.lastError = undefined;
    this.#events.emit("ready");
  };
}

/** A client of one server. */
class Single extends NodeRedisClient<RawClient> {
  get isReady(): boolean {
    return this.raw.isReady === true;
  }

  override get silenceRemedy(): string | undefined {
    const { socketTimeout, reconnectStrategy } = this.raw.options?.socket ?? {};
    if (socketTimeout !== undefined && reconnectStrategy !== undefined) return undefined;
    return (
      "set node-redis's options pingInterval: 1000 and socket: { socketTimeout: 3000, reconnectStrategy: (retries) => " +
      "Math.min(retries * 50, 1000) }, so that the client replaces a dead connection"
    );
  }

  protected send(_key: string | undefined, args: readonly string[], options: SendOptions): Promise<unknown> {
    return this.raw.sendCommand(args, options);
  }

  protected async probe(): Promise<unknown> {
    // A PING that waits in the queue would be sent before the client is ready, so an error reply would have two meanings.
    if (!this.raw.options?.disableOfflineQueue) await this.untilReady();
    return this.raw.sendCommand(["PING"]);
  }

  openSubscriber(_channel: string, events: SubscriberEvents): Promise<SubscriberConnection> {
    return openNodeSubscriber(this.raw, false, this.keyPrefix, events);
  }
}

class ClusterClient extends NodeRedisClient<RawCluster> {
  override readonly isCluster = true;

  get isReady(): boolean {
    // Version 5 has no `isReady`. In version 6 it is false until all nodes are known.
    const { isOpen, isReady = isOpen, masters } = this.raw;
    return isOpen && isReady && masters.some(({ client }) => client?.isReady);
  }

  /** The cluster sends a command to the node of the first key, and follows redirections. */
  protected send(key: string | undefined, args: readonly string[], options: SendOptions): Promise<unknown> {
    return this.raw.sendCommand(key, false, args, options);
  }

  override async keyServers(): Promise<readonly KeyServer[]> {
    const nodes = await Promise.all(this.raw.masters.map((master) => this.raw.nodeClient(master)));
    return nodes.map((node) => keyServer((args) => node.sendCommand(args, PLAIN)));
  }

  /** The cluster would send PING to all nodes, and fail if one does not answer. */
  protected async probe(): Promise<unknown> {
    await this.untilReady();
    const node = await this.raw.nodeClient(this.raw.getRandomNode());
    return node.sendCommand(["PING"]);
  }

  async openSubscriber(channel: string, events: SubscriberEvents): Promise<SubscriberConnection> {
    return openNodeSubscriber(await this.#nodeOf(this.keyPrefix + channel), true, this.keyPrefix, events);
  }

  /** Returns the client of the master that serves the slot of a key. The others answer with a redirection. */
  async #nodeOf(key: string): Promise<RawClient> {
    let failure: unknown;
    for (const master of this.raw.masters) {
      try {
        const node = await this.raw.nodeClient(master);
        await node.sendCommand(["EXISTS", key]);
        return node;
      } catch (error) {
        failure = error;
      }
    }
    throw failure ?? new Error("The Cluster has no connected master");
  }
}

/**
 * A sentinel. It leases a connection to the master to the commands that are in flight. The first command gets the lease
 * a moment later, and until then each other command would wait for a lease of its own, so that later ones overtake it.
 */
class SentinelClient extends NodeRedisClient<RawSentinel> {
  #inFlight = 0;
  /** Resolves when the first command has the lease. Undefined if no command waits for it. */
  #leasing: Promise<void> | undefined;

  get isReady(): boolean {
    // In version 5 `isReady` stays true while the master is away.
    return this.raw.isReady === true && this.raw.getMasterNode() !== undefined;
  }

  protected async send(_key: string | undefined, args: readonly string[], options: SendOptions): Promise<unknown> {
    const isFirst = this.#inFlight++ === 0;
    try {
      if (this.#leasing !== undefined) await this.#leasing;
      else if (isFirst) this.#leasing = this.#endOfRound();
      return await this.raw.sendCommand(false, args, options);
    } catch (error) {
      // The sentinel sends a command again if the connection was lost, so this one may have been sent.
      throw isUnsent(error) ? new Error("Command timed out") : error;
    } finally {
      this.#inFlight--;
    }
  }

  protected probe(): Promise<unknown> {
    return this.send(undefined, ["PING"], PLAIN);
  }

  async openSubscriber(channel: string, events: SubscriberEvents): Promise<SubscriberConnection> {
    return new SentinelSubscriber(this.raw, this.keyPrefix, channel, events);
  }

  #endOfRound(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(() => {
        this.#leasing = undefined;
        resolve();
      });
    });
  }
}

function keyServer(send: (args: readonly string[]) => Promise<unknown>): KeyServer {
  return {
    scan: (cursor, match, count, type) =>
      send(["SCAN", cursor, "MATCH", match, "COUNT", `${count}`, "TYPE", type]) as ReturnType<KeyServer["scan"]>,
    call: (...command) => send(command),
  };
}

/** The plain commands of node-redis, with ioredis's names and arguments. */
class NodeRedisCommands implements Commands {
  readonly #prefix: string;
  readonly #sendTo: (key: string | undefined, args: readonly string[], typeMapping?: TypeMapping) => Promise<unknown>;

  constructor(
    prefix: string,
    send: (key: string | undefined, args: readonly string[], typeMapping?: TypeMapping) => Promise<unknown>,
  ) {
    this.#prefix = prefix;
    this.#sendTo = send;
  }

  /** Sends a command whose first argument is a key. The caller names the type of Redis's reply to this command. */
  #send<Reply>(name: string, key: string, args: readonly (string | number)[] = [], mapping?: TypeMapping) {
    const prefixed = this.#prefix + key;
    return this.#sendTo(prefixed, [name, prefixed, ...args.map(String)], mapping) as Promise<Reply>;
  }

  del(key: string) {
    return this.#send<number>("DEL", key);
  }

  exists(...[key = "", ...others]: string[]) {
    return this.#send<number>(
      "EXISTS",
      key,
      others.map((other) => this.#prefix + other),
    );
  }

  get(key: string) {
    return this.#send<string | null>("GET", key);
  }

  getrangeBuffer(key: string, start: number, end: number) {
    return this.#send<Buffer>("GETRANGE", key, [start, end], { [BLOB_STRING]: Buffer });
  }

  hget(key: string, field: string) {
    return this.#send<string | null>("HGET", key, [field]);
  }

  hmget(key: string, ...fields: string[]) {
    return this.#send<(string | null)[]>("HMGET", key, fields);
  }

  hstrlen(key: string, field: string) {
    return this.#send<number>("HSTRLEN", key, [field]);
  }

  info(section: string) {
    return this.#sendTo(undefined, ["INFO", section]) as Promise<string>;
  }

  mget(...[key = "", ...others]: string[]) {
    return this.#send<(string | null)[]>(
      "MGET",
      key,
      others.map((other) => this.#prefix + other),
    );
  }

  pexpire(key: string, ms: number) {
    return this.#send<number>("PEXPIRE", key, [ms]);
  }

  ping() {
    return this.#sendTo(undefined, ["PING"]) as Promise<string>;
  }

  pttl(key: string) {
    return this.#send<number>("PTTL", key);
  }

  set(key: string, value: string | number, ...options: (string | number)[]) {
    return this.#send<string | null>("SET", key, [value, ...options]);
  }

  srem(key: string, member: string) {
    return this.#send<number>("SREM", key, [member]);
  }

  strlen(key: string) {
    return this.#send<number>("STRLEN", key);
  }

  xrange(key: string, from: string, to: "+", option: "COUNT", count: number) {
    return this.#send<[id: string, fields: string[]][]>("XRANGE", key, [from, to, option, count]);
  }

  zadd(key: string, score: number, member: string) {
    return this.#send<number>("ZADD", key, [score, member]);
  }

  zcard(key: string) {
    return this.#send<number>("ZCARD", key);
  }

  zcount(key: string, min: number, max: "+inf") {
    return this.#send<number>("ZCOUNT", key, [min, max]);
  }

  zrangebylex(key: string, min: string, max: string, option: "LIMIT", offset: number, count: number) {
    return this.#send<string[]>("ZRANGEBYLEX", key, [min, max, option, offset, count]);
  }

  zrem(key: string, member: string) {
    return this.#send<number>("ZREM", key, [member]);
  }

  zscan(key: string, cursor: string, option: "COUNT", count: number) {
    return this.#send<[cursor: string, entries: string[]]>("ZSCAN", key, [cursor, option, count]);
  }
}

/** A copy of the text: other properties may contain arguments. */
function toError(error: Error | string): Error {
  return new Error(typeof error === "string" ? error : textOf(error));
}

/**
 * Wraps a client, cluster or sentinel of node-redis.
 * @throws SessionError `invalidValue` if it is a pool, or if its key prefix would spread an app's keys over a Cluster
 */
export function fromNodeRedis(client: NodeRedisLike): RedisClient {
  const can = (name: string) => typeof (client as unknown as Record<string, unknown>)[name] === "function";
  // The casts are safe: each kind has a method that no other kind has.
  if (can("nodeClient")) return new ClusterClient(client as RawCluster);
  if (can("getMasterNode")) return new SentinelClient(client as RawSentinel);
  if (can("execute")) {
    throw invalidValue(
      "client is a pool of node-redis, whose connections would let calls on one session overtake each other",
      "pass a client: createClient()",
    );
  }
  return new Single(client as RawClient);
}

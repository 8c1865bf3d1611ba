import type { RedisClient } from "./client.js";

/** A command that is held until the client can send it. */
export interface HeldCommand {
  /** When it is dropped, on the clock of `performance.now()`. `Deadlines` then rejects its call with `timeout`. */
  readonly deadline: number;
  send(): void;
  /** Called with the error with which ioredis would have refused the command. */
  fail(error: unknown): void;
}

const gates = new WeakMap<RedisClient, Gate>();

/** The gate of a client. All engines on one client share it. */
export function gateOf(client: RedisClient): Gate {
  let gate = gates.get(client);
  if (gate === undefined) {
    gate = new Gate(client);
    gates.set(client, gate);
  }
  return gate;
}

/**
 * Holds commands while the client is not connected or Redis does not answer. ioredis would queue them without a deadline
 * and send them after their calls have failed with `timeout`.
 *
 * While commands are held, one PING is passed to ioredis as a probe. It makes a lazy client connect, its answer shows
 * that Redis answers again, and ioredis refuses it for the same reasons for which it would refuse the commands.
 */
export class Gate {
  readonly #client: RedisClient;
  /** In the order of the calls. */
  readonly #held = new Set<HeldCommand>();
  /** Identifies the PING that is in flight for the held commands. Undefined if there is none. */
  #probe: object | undefined;
  /** How many sent commands have timed out since the last answer of Redis. */
  #timeouts = 0;

  constructor(client: RedisClient) {
    this.#client = client;
  }

  /** Whether commands can be sent at once. If not, they must be held. */
  get isOpen(): boolean {
    // One silent node of a Cluster says nothing of the others, and a PING may go to any of them.
    const isSilent = this.#timeouts > 0 && !this.#client.isCluster;
    return this.#held.size === 0 && !isSilent && this.#client.isReady;
  }

  /** How many sent commands in a row have timed out, without an answer in between. */
  get timeoutsInARow(): number {
    return this.#timeouts;
  }

  /** Holds a command. It is sent when the gate opens, but not after its deadline. */
  hold(command: HeldCommand): void {
    this.#dropExpired();
    // Listen for "ready" too: the answer to the PING may be lost with the connection.
    if (this.#held.size === 0) {
      this.#client.off("ready", this.#release);
      this.#client.on("ready", this.#release);
    }
    this.#held.add(command);
    if (this.#probe === undefined) this.#ping();
  }

  /** Drops expired commands from the start of the queue, so that it does not grow during a long outage. */
  #dropExpired(): void {
    const now = performance.now();
    for (const command of this.#held) {
      if (command.deadline > now) break;
      this.#held.delete(command);
    }
  }

  /** Must be called when Redis has answered a command. */
  answered(): void {
    if (this.#timeouts === 0 && this.#held.size === 0) return;
    this.#release();
  }

  /** Must be called when a command that was sent has timed out. */
  timedOut(): void {
    this.#timeouts++;
  }

  #ping(): void {
    const probe = {};
    this.#probe = probe;
    const onProbeEnd = (error: unknown) => {
      if (this.#probe !== probe) return;
      this.#probe = undefined;
      // An error reply opens the gate as well: the Redis user may lack the right to PING.
      if (error === undefined || (isReply(error) && this.#client.isReady)) this.#release();
      else for (const { fail } of this.#takeAll()) fail(error);
    };
    this.#client.ping().then(() => onProbeEnd(undefined), onProbeEnd);
  }

  readonly #release = (): void => {
    // The connection may be lost again. Then the commands wait for the next "ready" or for their deadlines.
    if (!this.#client.isReady) return;
    this.#probe = undefined;
    this.#timeouts = 0;
    const now = performance.now();
    for (const { deadline, send } of this.#takeAll()) if (deadline > now) send();
  };

  /** Empties the queue and returns its commands. */
  #takeAll(): HeldCommand[] {
    const held = [...this.#held];
    this.#held.clear();
    this.#client.off("ready", this.#release);
    return held;
  }
}

/** Whether an error means that node-redis has removed a command from its queue at the deadline. */
export function isUnsent(error: unknown): boolean {
  return error instanceof Error && error.message === "The command was aborted";
}

/**
 * Whether an error is a reply of Redis. If not, it is from the client. ioredis names replies, and node-redis does not, but
 * Redis's errors begin with a code in capital letters.
 */
export function isReply(error: unknown): boolean {
  return error instanceof Error && (error.name === "ReplyError" || /^[A-Z][A-Z\d_]* /.test(error.message));
}

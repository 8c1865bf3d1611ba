import type { Redis } from "ioredis";
import type { Client } from "../types.js";

/** What is held back until the client can send it. */
export interface Held {
  /** When it is dropped, as performance.now() has it. Its caller is told `timeout` by Deadlines. */
  readonly deadline: number;
  send(): void;
  /** Takes the error with which ioredis would have refused the command. */
  fail(error: unknown): void;
}

const gates = new WeakMap<Client, Gate>();

/** The gate of a client. All engines on one client share it. */
export function gateOf(client: Client): Gate {
  let gate = gates.get(client);
  if (gate === undefined) {
    gate = new Gate(client);
    gates.set(client, gate);
  }
  return gate;
}

/**
 * Holds commands back while the client cannot send them, or sends them to a Redis that has fallen silent. ioredis would
 * keep them in a queue that knows no deadlines, and would send them after their callers were told `timeout`.
 *
 * While commands are held ioredis gets a single PING in their place: it connects a lazy client, it is answered as soon as
 * commands are, and ioredis refuses it for whatever reason it would refuse them.
 */
export class Gate {
  readonly #client: Client;
  /** In the order of the calls. */
  readonly #held = new Set<Held>();
  /** The PING that stands for what is held. */
  #probe: object | undefined;
  /** How many commands that were sent ended with a timeout since Redis answered last. */
  #timeouts = 0;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Whether a command would be sent at once. */
  get isOpen(): boolean {
    // One silent node of a Cluster says nothing of the others, and a PING may go to any of them.
    const isSilent = this.#timeouts > 0 && !this.#client.isCluster;
    return this.#held.size === 0 && !isSilent && isReady(this.#client);
  }

  /** How many commands in a row were sent and not answered in time. */
  get timeoutsInARow(): number {
    return this.#timeouts;
  }

  /** Sends when the gate opens, but not after the deadline. */
  hold(held: Held): void {
    const now = performance.now();
    for (const one of this.#held) {
      if (one.deadline > now) break;
      this.#held.delete(one);
    }
    // The answer to the PING may be lost with a connection.
    if (this.#held.size === 0) this.#client.off("ready", this.#release).on("ready", this.#release);
    this.#held.add(held);
    if (this.#probe === undefined) this.#ping();
  }

  /** Redis has answered a command. */
  answered(): void {
    if (this.#timeouts === 0 && this.#held.size === 0) return;
    this.#release();
  }

  /** A command that was sent has not been answered in time. */
  timedOut(): void {
    this.#timeouts++;
  }

  #ping(): void {
    const probe = {};
    this.#probe = probe;
    const settle = (error: unknown) => {
      if (this.#probe !== probe) return;
      this.#probe = undefined;
      // A user who may not PING is answered with an error, too.
      if (error === undefined || (isReply(error) && isReady(this.#client))) this.#release();
      else for (const { fail } of this.#take()) fail(error);
    };
    this.#client.ping().then(() => settle(undefined), settle);
  }

  readonly #release = (): void => {
    // Redis may have been lost again. What is held waits for the next `ready`, or for its deadline.
    if (!isReady(this.#client)) return;
    this.#probe = undefined;
    this.#timeouts = 0;
    const now = performance.now();
    for (const { deadline, send } of this.#take()) if (deadline > now) send();
  };

  #take(): Held[] {
    const held = [...this.#held];
    this.#held.clear();
    this.#client.off("ready", this.#release);
    return held;
  }
}

/** Whether ioredis would write a command to the connection, and not keep it. */
function isReady(client: Client): boolean {
  // ioredis-mock has no status. Only Redis has a stream: it ends a moment before the status tells.
  return (client.status ?? "ready") === "ready" && (client as Redis).stream?.writable !== false;
}

/** Whether an error is Redis's answer, and not ioredis's. */
export function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === "ReplyError";
}

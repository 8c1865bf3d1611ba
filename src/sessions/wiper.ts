import { quote, SessionError } from "../errors.js";
import type { Connection } from "../redis/connection.js";
import { CHUNK } from "../redis/operation.js";
import { BoundedMap } from "../util/bounded-map.js";
import { appsKey, LAYOUT, layoutKey } from "./keys.js";

/** How long this process relies on having registered an app: a Redis that lost its keys is told again. */
const REGISTERED_FOR = 60_000;

/** How long an app without a session stays registered, in ms: longer than servers' clocks are apart. */
const KEPT_FOR = 86_400_000;

/** An app, as the wiper visits it. */
interface Visited {
  /** Drops what expired sessions have left in the index. Gives how many sessions that were. */
  wipe(): Promise<number>;
  /** Takes the app from those that are visited, when it has no session and was last registered before `before` (ms). */
  retire(before: number): Promise<void>;
}

/** Visits every app from time to time and drops what expired sessions have left in the index. */
export class Wiper {
  readonly #connection: Connection;
  readonly #namespace: string;
  readonly #appsKey: string;
  readonly #appOf: (name: string) => Visited;
  /** When each app was registered by this process, as performance.now() has it. To forget one costs one command. */
  readonly #registered = new BoundedMap<number>();
  readonly #registering = new Map<string, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(connection: Connection, namespace: string, appOf: (name: string) => Visited) {
    this.#connection = connection;
    this.#namespace = namespace;
    this.#appsKey = appsKey(namespace);
    this.#appOf = appOf;
  }

  /** Makes sure that the wipers of all servers know the app. Asks Redis once a minute and app, else gives undefined. */
  register(app: string): Promise<void> | undefined {
    const since = this.#registered.get(app);
    if (since !== undefined && performance.now() - since < REGISTERED_FOR) return undefined;
    let registering = this.#registering.get(app);
    if (registering === undefined) {
      registering = this.#add(app).finally(() => this.#registering.delete(app));
      this.#registering.set(app, registering);
    }
    return registering;
  }

  /** One app whose keys somebody has spoilt does not keep the others from being wiped; its error comes last. */
  async wipe(): Promise<number> {
    const before = Date.now() - KEPT_FOR;
    let wiped = 0;
    let failure: unknown;
    for await (const [name, registered] of this.#apps()) {
      const app = this.#appOf(name);
      try {
        wiped += await app.wipe();
        if (registered < before) await app.retire(before);
      } catch (error) {
        if ((error as SessionError).name !== "redisError") throw error;
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
    return wiped;
  }

  /** Wipes every so many seconds, beginning at a random moment: servers that start together take turns. */
  start(seconds: number): void {
    const round = () => {
      this.#timer = setTimeout(round, seconds * 1000).unref();
      // A Redis that is away is for the calls to report; the next round makes up for this one.
      this.wipe().catch(() => {});
    };
    this.#timer = setTimeout(round, Math.random() * seconds * 1000).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** The apps, and when each was registered last (ms). */
  async *#apps(): AsyncGenerator<[name: string, registered: number], void> {
    let cursor = "0";
    do {
      const from = cursor;
      const [next, found] = await this.#connection.command((client) =>
        client.zscan(this.#appsKey, from, "COUNT", CHUNK),
      );
      for (let i = 0; i < found.length; i += 2) yield [found[i] as string, Number(found[i + 1])];
      cursor = next;
    } while (cursor !== "0");
  }

  async #add(app: string): Promise<void> {
    const now = performance.now();
    await this.#checkLayout();
    await this.#connection.command((client) => client.zadd(this.#appsKey, Date.now(), app));
    this.#registered.set(app, now);
  }

  /**
   * Writes the version of the layout where there is none.
   * @throws SessionError `redisError` where another version of this package has written another layout
   */
  async #checkLayout(): Promise<void> {
    const key = layoutKey(this.#namespace);
    if ((await this.#connection.command((client) => client.set(key, LAYOUT, "NX"))) !== null) return;
    const found = await this.#connection.command((client) => client.get(key));
    if (found === LAYOUT || found === null) return;
    throw new SessionError(
      "redisError",
      `The sessions in Redis have the storage layout ${quote(found)}, not ${LAYOUT}`,
      {
        hint: `a newer version of this package has written ${key}: update this server, or choose another namespace`,
      },
    );
  }
}

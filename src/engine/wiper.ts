import type { Connection } from "./connection.js";
import type { SessionError } from "./errors.js";

/** How long this process relies on having registered an app: a Redis that lost its keys is told again. */
const REGISTERED_FOR = 60_000;

/** How many apps are remembered as registered. To forget one costs one command. */
const MOST_REGISTERED = 10_000;

/** Visits every app from time to time and drops what expired sessions have left in the index. */
export class Wiper {
  readonly #connection: Connection;
  readonly #appsKey: string;
  readonly #wipeApp: (app: string) => Promise<number>;
  readonly #registered = new Map<string, number>();
  readonly #registering = new Map<string, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(connection: Connection, appsKey: string, wipeApp: (app: string) => Promise<number>) {
    this.#connection = connection;
    this.#appsKey = appsKey;
    this.#wipeApp = wipeApp;
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
    const apps = await this.#connection.command((client) => client.smembers(this.#appsKey));
    let wiped = 0;
    let failure: unknown;
    for (const app of apps) {
      try {
        wiped += await this.#wipeApp(app);
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

  async #add(app: string): Promise<void> {
    const now = performance.now();
    await this.#connection.command((client) => client.sadd(this.#appsKey, app));
    if (this.#registered.size >= MOST_REGISTERED) this.#registered.clear();
    this.#registered.set(app, now);
  }
}

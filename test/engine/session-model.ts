import type { Session } from "../../src/index.js";

interface ModelSession {
  app: string;
  id: string;
  r: number;
  w: number;
  d: Map<string, unknown>;
}

/** What a test compares of a session. */
export interface Shown {
  id: string;
  r: number;
  w: number;
  d: [key: string, value: unknown][];
}

/** The name of a session in a test. Tokens differ from run to run, so the model has its own names. */
export type Name = number;

/**
 * The engine as it is documented, in memory and without time: names lead to sessions, and an old name goes on
 * leading to its session when it was rotated with grace. To end the session, any earlier token will do.
 */
export class Model {
  /** The sessions that are alive. */
  readonly #names = new Map<Name, ModelSession>();
  /** Where names lead that were rotated with grace. */
  readonly #leadsTo = new Map<Name, Name>();
  /** Where all names lead that were rotated. */
  readonly #became = new Map<Name, Name>();
  #next = 0;

  create(app: string, id: string, d: Record<string, unknown>): Name {
    const name = this.#next++;
    const session = { app, id, r: 1, w: 1, d: new Map<string, unknown>() };
    merge(session.d, d);
    this.#names.set(name, session);
    return name;
  }

  get(app: string, name: Name, touch: boolean): { name: Name; session: Shown } | null {
    const at = this.#follow(name);
    const session = this.#names.get(at);
    if (session?.app !== app) return null;
    const shown = show(session);
    if (touch) session.r++;
    return { name: at, session: shown };
  }

  set(app: string, name: Name, d: Record<string, unknown>): { name: Name; session: Shown } | null {
    const at = this.#follow(name);
    const session = this.#names.get(at);
    if (session?.app !== app) return null;
    merge(session.d, d);
    session.w++;
    return { name: at, session: show(session) };
  }

  kill(app: string, name: Name, by: "token" | "ref"): number {
    const at = this.#follow(name, by === "token" ? this.#became : this.#leadsTo);
    if (this.#names.get(at)?.app !== app) return 0;
    return this.#names.delete(at) ? 1 : 0;
  }

  killsoid(app: string, id: string, except?: Name): number {
    const spared = except === undefined ? undefined : this.#follow(except);
    return this.#killWhere((session, name) => session.app === app && session.id === id && name !== spared);
  }

  killall(app: string): number {
    return this.#killWhere((session) => session.app === app);
  }

  rotate(app: string, name: Name, grace: boolean): Name | null {
    const session = this.#names.get(name);
    if (session?.app !== app) return null;
    const next = this.#next++;
    this.#names.delete(name);
    this.#names.set(next, session);
    this.#became.set(name, next);
    if (grace) this.#leadsTo.set(name, next);
    return next;
  }

  sessions(app: string, id?: string): { name: Name; session: Shown }[] {
    return [...this.#names]
      .filter(([, session]) => session.app === app && (id === undefined || session.id === id))
      .map(([name, session]) => ({ name, session: show(session) }));
  }

  activity(app: string): number {
    return new Set([...this.#names.values()].filter((session) => session.app === app).map(({ id }) => id)).size;
  }

  #killWhere(doomed: (session: ModelSession, name: Name) => boolean): number {
    const names = [...this.#names].filter(([name, session]) => doomed(session, name)).map(([name]) => name);
    for (const name of names) this.#names.delete(name);
    return names.length;
  }

  #follow(name: Name, leadsTo = this.#leadsTo): Name {
    const next = leadsTo.get(name);
    return next === undefined ? name : this.#follow(next, leadsTo);
  }
}

function merge(data: Map<string, unknown>, changes: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) data.delete(key);
    else data.set(key, value);
  }
}

export function show({ id, r, w, d }: ModelSession | Session): Shown {
  const data = d instanceof Map ? [...d] : Object.entries(d ?? {});
  return { id, r, w, d: data.sort(([a], [b]) => (a < b ? -1 : 1)) };
}

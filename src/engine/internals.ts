import type { Connection } from "../redis/connection.js";
import type { AppSessions } from "../sessions/app-sessions.js";
import type { SessionList, SoappOptions, SoidOptions } from "../types.js";

/**
 * How long a tombstone is left where a session was replaced, or rotated without grace, in ms. The browser's other requests
 * may still carry its token until then.
 */
export const REPLACED_TOMBSTONE_TTL = 10_000;

/** What the adapters use of an engine beside its public methods. They check their input themselves. */
export interface Internals {
  readonly connection: Connection;
  /** An app's sessions by ref, without checks of the input. */
  sessions(app: string): AppSessions;
  /** `soid` and `soapp` in parts of bounded size. */
  readonly lists: Lists;
}

interface Lists {
  soid(options: SoidOptions): Promise<ListPart>;
  soapp(options: SoappOptions): Promise<ListPart>;
}

/** A part of a list, which ends where a number of bytes is reached. */
export interface ListPart extends SessionList {
  /** The offset of the next part, where there may be one. */
  next?: number;
}

const internals = new WeakMap<object, Internals>();

/** Called by each engine when it is constructed. */
export function provideInternals(rs: object, own: Internals): void {
  internals.set(rs, own);
}

/** The internals of an engine. `rs` must be an engine: the adapters' options are checked for that. */
export function internalsOf(rs: object): Internals {
  return internals.get(rs) as Internals;
}

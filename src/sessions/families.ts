import { toList } from "../redis/reply.js";
import type { EndReason } from "../types.js";
import type { AppConnection } from "./app-connection.js";
import type { Keys } from "./keys.js";
import * as operations from "./operations.js";
import type { StoredSession, Tombstone } from "./session-text.js";
import { familyOf, refOf } from "./token.js";

/**
 * How long after its grace a token that was rotated may still arrive without being reuse, in ms. A request can wait in a queue
 * of the browser or of a proxy. Longer than requests take.
 */
export const LATE_REQUESTS = 60_000;

/** How long the tombstone says why a session has ended, in ms. */
const REASON_TTL = 86_400_000;

/** Why a token has no session. */
export class Absence {
  /**
   * Whether the session was replaced, or the token rotated, a short time ago. The browser then has another token by now, or is
   * about to receive one.
   */
  readonly isRecent: boolean;
  /** Undefined if it is not known. */
  readonly reason: EndReason | undefined;

  constructor(isRecent: boolean, reason?: EndReason) {
    this.isRecent = isRecent;
    this.reason = reason;
  }
}

/** Calls by token. The family of the token says what becomes of a call if there is no session under the token's own ref. */
export interface ByToken<Absent> {
  /** Called with the session that was found. Returns a promise to wait for, if there is something to do. */
  found?(token: string, stored: StoredSession, deadline: number): Promise<void> | undefined;
  /** Called if no session was found. Returns the ref with which the call is repeated, or the call's result. */
  missed(token: string, tombstone: Tombstone | null, deadline: number): Promise<string | Absent>;
}

/**
 * The families of an app's tokens. All tokens that one session has had are a family; docs/security.md describes the states of a
 * token. Each family has a record in Redis from its first rotation on.
 */
export class Families {
  readonly #connection: AppConnection;
  readonly #keys: Keys;

  constructor(connection: AppConnection, keys: Keys) {
    this.#connection = connection;
    this.#keys = keys;
  }

  /** Calls that use a session, and reset its TTL. */
  readonly #touching: ByToken<Absence> = {
    found: (token, stored, deadline) => this.#found(token, stored, true, deadline),
    missed: (token, tombstone, deadline) => this.resolve(token, tombstone, deadline),
  };

  readonly #reading: ByToken<Absence> = {
    ...this.#touching,
    found: (token, stored, deadline) => this.#found(token, stored, false, deadline),
  };

  /**
   * Calls that use a session. They show that someone has the token.
   * @param prolongs whether they reset the session's TTL
   */
  use(prolongs: boolean): ByToken<Absence> {
    return prolongs ? this.#touching : this.#reading;
  }

  /** Calls that end a session. They do so with any token of the family. */
  readonly ending: ByToken<null> = {
    missed: async (token, _tombstone, deadline) => (await this.#read(token, deadline)).family?.current ?? null,
  };

  /**
   * Decides what becomes of a token without a session. Returns the ref of the session if the token is still valid. Ends the
   * session if the token is reused: it was rotated, a later token was used, and no request can be so late.
   */
  async resolve(token: string, tombstone: Tombstone | null, deadline: number): Promise<string | Absence> {
    const ref = refOf(token);
    for (;;) {
      const { family, isLate } = await this.#read(token, deadline);
      if (family === undefined || family.current === ref) {
        return new Absence(tombstone !== null && tombstone.reason === undefined, tombstone?.reason);
      }
      const isBefore = family.before === ref;
      if (isBefore && family.keepsBefore) return family.current;
      if (isBefore || isLate) return new Absence(isLate);
      this.#connection.assertInTime(deadline);
      const outcome = await this.#connection.run(
        operations.endReused,
        this.#keys,
        {
          ref: family.current,
          reused: ref,
          familyName: familyOf(token),
          record: family.record,
          tombstoneTtl: REASON_TTL,
        },
        deadline,
      );
      if (outcome !== "changed") return new Absence(false, outcome === "ended" ? "reused" : undefined);
      this.#connection.assertInTime(deadline);
    }
  }

  /** Records that a token that took the place of another is in use. */
  async see(token: string, deadline: number): Promise<void> {
    const { family } = await this.#read(token, deadline);
    this.#connection.assertInTime(deadline);
    const input = { ref: refOf(token), name: familyOf(token), before: family?.before, markTtl: LATE_REQUESTS };
    await this.#connection.run(operations.see, this.#keys, input, deadline);
  }

  #found(token: string, stored: StoredSession, prolongs: boolean, deadline: number): Promise<void> | undefined {
    const rotated = stored.flag("rotated");
    if (rotated === undefined) return undefined;
    const isUnused = rotated === "0" && stored.ref === refOf(token);
    const work = isUnused
      ? this.see(token, deadline)
      : prolongs && isRenewalDue(stored)
        ? this.#renew(token, stored, deadline)
        : undefined;
    // The call itself has succeeded. The next use of the token tries again.
    return work?.catch(() => {});
  }

  /** Resets the TTL of the record to the one in lua/include/family.lua. */
  async #renew(token: string, { ttl }: StoredSession, deadline: number): Promise<void> {
    const key = this.#keys.family(familyOf(token));
    await this.#connection.command((client) => client.pexpire(key, 2000 * ttl), deadline);
  }

  /** Reads the record of a token's family, and whether the token was rotated lately. */
  async #read(token: string, deadline: number): Promise<{ family: Family | undefined; isLate: boolean }> {
    const keys = [this.#keys.family(familyOf(token)), this.#keys.rotated(refOf(token))];
    this.#connection.assertInTime(deadline);
    const [record, mark] = toList(await this.#connection.command((client) => client.mget(...keys), deadline));
    return { family: parseFamily(record), isLate: mark !== null && mark !== undefined };
  }
}

/** The record of a family, see lua/include/family.lua. */
interface Family {
  readonly record: string;
  /** The ref of the current token. */
  readonly current: string;
  /** The ref of the token before, if the current one has not been used yet. */
  readonly before: string | undefined;
  /** Whether the token before is valid until the current one is used. */
  readonly keepsBefore: boolean;
}

function parseFamily(record: string | null | undefined): Family | undefined {
  if (!record) return undefined;
  const [current = "", before, grace] = record.split(" ");
  return { record, current, before, keepsBefore: grace !== undefined };
}

/**
 * Whether this use of a session must prolong the record of its family: with the first use in each half ttl of the clock. If the
 * session has a fixed end, the record's TTL is right from the start.
 */
function isRenewalDue({ ttl, la, no_resave, absoluteEnd }: StoredSession): boolean {
  if (no_resave || Number.isFinite(absoluteEnd)) return false;
  const period = ttl * 500;
  return Math.floor(Date.now() / period) !== Math.floor(la / period);
}

/**
 * Returns for how long no use of a session prolongs the record of its family, in ms, if the session was just used. A session that
 * is served from memory for longer than that would lose the record.
 */
export function timeToRenewal({ ttl, no_resave, absoluteEnd, isRotated }: StoredSession, now: number): number {
  if (!isRotated || no_resave || ttl === 0 || Number.isFinite(absoluteEnd)) return Number.POSITIVE_INFINITY;
  const period = ttl * 500;
  return period - (now % period);
}

import type { Sessions } from "../sessions/sessions.js";
import { refOf } from "../sessions/token.js";
import type { Verified } from "./cookie.js";

/**
 * The tokens in a request's cookies, and the choice between them. A browser may send several cookies with our name, for
 * example one for a path and one for a parent domain. Only Redis can tell which of them has a session.
 */
export class SentTokens {
  readonly #cookies: readonly Verified[];
  #choice: Promise<void> | undefined;

  /** @param cookies the cookies that verify, in the order of the header, each token once */
  constructor(cookies: readonly Verified[]) {
    this.#cookies = cookies;
  }

  /** The cookie to use before `choose` has run; undefined if the request has none. */
  get first(): Verified | undefined {
    return this.#cookies[0];
  }

  /** Whether there is more than one cookie, so that `choose` must run before a token is used. */
  get needsChoice(): boolean {
    return this.#cookies.length > 1;
  }

  /**
   * Chooses a cookie and passes it to `use`, once per request. If Redis fails, the next call tries again.
   * @param sessions the sessions of the request's app
   */
  async choose(sessions: Sessions, use: (chosen: Verified | undefined) => void): Promise<void> {
    this.#choice ??= this.#find(sessions).then(use);
    try {
      await this.#choice;
    } catch (error) {
      this.#choice = undefined;
      throw error;
    }
  }

  /**
   * The tokens of the request's cookies other than `token`. A sign-in or sign-out must end their sessions as well: the
   * browser sends those cookies again with its next request and would still be signed in by one of them.
   */
  otherThan(token: string | undefined): string[] {
    if (!this.needsChoice) return [];
    return this.#cookies.flatMap((cookie) => (cookie.token === token ? [] : cookie.token));
  }

  /**
   * Returns the first cookie that has a session, or the first cookie if none has one. Takes one round trip and touches
   * no session.
   */
  async #find(sessions: Sessions): Promise<Verified | undefined> {
    const found = await Promise.all(this.#cookies.map(({ token }) => sessions.get(refOf(token), false)));
    const firstAlive = found.findIndex((session) => session !== null);
    // During its grace an old token leads to the rotated session. Prefer the new token: only that one can be rotated.
    const current = this.#cookies.find(({ token }) => refOf(token) === found[firstAlive]?.ref);
    return current ?? this.#cookies[Math.max(firstAlive, 0)];
  }
}

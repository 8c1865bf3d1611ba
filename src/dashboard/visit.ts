import type { IncomingMessage } from "node:http";
import { internalsOf } from "../engine/internals.js";
import { STORE_REF_PREFIX } from "../sessions/keys.js";
import { type StoredSession, withoutData } from "../sessions/session-text.js";
import type { Sessions } from "../sessions/sessions.js";
import type { Session } from "../types.js";
import type { Formats } from "./formats.js";
import { type Content, type Html, html } from "./html.js";
import type { Keyring } from "./keyring.js";
import type { DashboardOptions, DashboardRole } from "./options.js";
import { type DashboardTexts, fill } from "./texts.js";

/** A checked grant. */
export interface Person {
  readonly role: DashboardRole;
  readonly actor: string;
  readonly ref: string | undefined;
}

/** One request for a page: who asks, for which app, and how links, texts and times are written. */
export class Visit {
  readonly req: IncomingMessage;
  readonly options: DashboardOptions;
  readonly texts: DashboardTexts;
  readonly formats: Formats;
  readonly person: Person;
  readonly keyring: Keyring;
  /** The relative URL of the dashboard, so that it works under any path and behind any proxy. */
  readonly root: string;
  readonly query: URLSearchParams;
  /** The app of the page. Empty on the list of apps. */
  readonly app: string;
  readonly now = Date.now();

  constructor(
    request: Pick<Visit, "req" | "options" | "texts" | "formats" | "person" | "keyring" | "root" | "query">,
    app: string,
  ) {
    this.req = request.req;
    this.options = request.options;
    this.texts = request.texts;
    this.formats = request.formats;
    this.person = request.person;
    this.keyring = request.keyring;
    this.root = request.root;
    this.query = request.query;
    this.app = app;
  }

  get sessions(): Sessions {
    return internalsOf(this.options.rs).sessions(this.app);
  }

  /** The URL of the events of the app, or of a user. Undefined if the engine has none. */
  eventsUrl(id?: string): string | undefined {
    if (!internalsOf(this.options.rs).hasEvents) return undefined;
    return id === undefined ? this.url("events") : this.userUrl(id, "events");
  }

  /** Whether the person's role allows what only `role` and higher ones may do. */
  may(role: "support" | "admin"): boolean {
    return this.person.role === "admin" || this.person.role === role;
  }

  /** A session as the pages show it. @throws SessionError `redisError` if its text is damaged */
  show(stored: StoredSession): Listed {
    return withoutData(stored, this.now);
  }

  /** The sessions as the pages show them. Damaged ones are omitted, because they must not hide the others. */
  showAll(sessions: readonly StoredSession[]): Listed[] {
    return sessions.flatMap((stored) => {
      try {
        return this.show(stored);
      } catch {
        return [];
      }
    });
  }

  /** A text with its placeholders filled. */
  text(name: keyof DashboardTexts, values: Readonly<Record<string, Content>> = {}): Html {
    return fill(this.texts[name], values);
  }

  /** The URL of a page of the app. The parts are percent-encoded. */
  url(...parts: readonly string[]): string {
    return this.root + [this.app, ...parts].map(encodeURIComponent).join("/");
  }

  /** The URL of a user's page. Only this browser can open it. */
  userUrl(id: string, ...parts: readonly string[]): string {
    return this.url("user", this.keyring.seal("user", id), ...parts);
  }

  /** The URL of a session's page. The ref of a RedisStore session may contain its id, so it is sealed. */
  sessionUrl(ref: string, ...parts: readonly string[]): string {
    return this.url("session", isPublic(ref) ? ref : this.keyring.seal("session", ref), ...parts);
  }

  /** A moment as a relative time: "2 minutes ago". The script adds the exact time in the reader's time zone. */
  relative(ms: number): Html {
    // The clock of the server that wrote the time may be ahead.
    const seconds = Math.max(0, Math.round((this.now - ms) / 1000));
    return this.#time(ms, () => this.formats.ago(seconds));
  }

  /** The time of day, for a moment that has just been. */
  clock(ms: number): Html {
    return this.#time(ms, () => this.formats.clock(new Date(ms)), html` data-clock`);
  }

  /** A moment as date and time. The script replaces UTC by the reader's time zone. */
  moment(ms: number): Html {
    return this.#time(ms, (utc) => utc, html` data-local`);
  }

  #time(ms: number, textOf: (utc: string) => string, attribute?: Html): Html {
    const date = new Date(ms);
    // The time of a damaged session, or of an announcement that is not ours.
    if (Number.isNaN(date.getTime())) return html`${this.texts.unknown}`;
    const utc = this.formats.utc(date);
    return html`<time datetime="${date.toISOString()}" title="${utc}"${attribute}>${textOf(utc)}</time>`;
  }
}

/** A session without its data. */
export type Listed = Omit<Session, "d">;

/** Whether a ref may be shown and logged. That of a session of RedisStore may contain its id, which is half of a key to it. */
export function isPublic(ref: string): boolean {
  return !ref.startsWith(STORE_REF_PREFIX);
}

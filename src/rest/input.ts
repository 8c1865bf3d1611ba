import type { Request } from "express";
import { checkInteger, whichOf } from "../engine/checks.js";
import { invalidValue } from "../errors.js";
import type { CreateOptions, Which } from "../types.js";
import { checkNames } from "../util/rules.js";
import { Problem } from "./problem.js";

/** The maximum and the default number of sessions in a response. */
export const MAX_LISTED = 1000;

/** The part of a `Route` that its input is checked against. */
interface Accepts {
  readonly name: string;
  readonly query: readonly string[];
}

/**
 * Reads the engine's arguments from a request. Numbers and booleans are parsed, because a URL has only strings. All other
 * values, invalid ones too, are passed on for the engine to validate.
 */
export class Input {
  readonly app: string;
  readonly #req: Request;
  readonly #query: URLSearchParams;

  /** @throws SessionError `invalidValue` if a parameter is unknown or repeated */
  constructor(req: Request, route: Accepts) {
    this.#req = req;
    this.#query = parseQuery(/\?(.*)$/s.exec(req.originalUrl)?.[1] ?? "");
    checkQuery(this.#query, route);
    this.app = param(req, "app");
  }

  get id(): string {
    return param(this.#req, "id");
  }

  /** The token in the path. For `-` it is the one in the header `X-Session-Token`, which access logs do not record. */
  get token(): string {
    const token = param(this.#req, "token");
    return token === "-" ? (this.#req.get("x-session-token") ?? "") : token;
  }

  /** The session's address: its app, and its token or ref. */
  get which(): Which {
    return whichOf(this.app, this.token);
  }

  /** The body, an object. Undefined if the body is missing or empty. */
  get body(): NonNullable<CreateOptions["d"]> | undefined {
    const { body } = this.#req;
    // The engine refuses everything except an object: an array, or a value that another body parser has set.
    if (Buffer.isBuffer(body)) return body.toString() as never;
    if (typeof body !== "object" || body === null || Array.isArray(body)) return body as never;
    return Object.keys(body).length === 0 ? undefined : body;
  }

  text(name: string): string | undefined {
    return this.#query.get(name) ?? undefined;
  }

  /** The span of time in seconds: `dt`, or its old name `deltaTime`. */
  get span(): { dt: number } {
    return { dt: this.number("dt"), deltaTime: this.number("deltaTime") } as { dt: number };
  }

  /** The page of a list. @throws SessionError `invalidValue` if `limit` is greater than MAX_LISTED */
  get part(): { limit: number; offset: number | undefined } {
    const limit = checkInteger("limit", this.number("limit") ?? MAX_LISTED, 1, MAX_LISTED);
    return { limit, offset: this.number("offset") };
  }

  /** A number of the query. Other text is returned as it is, so that the engine refuses it. */
  number(name: string): number | undefined {
    const text = this.text(name);
    return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : (text as undefined);
  }

  /** `true` or `false` of the query. Other text is returned as it is, so that the engine refuses it. */
  boolean(name: string): boolean | undefined {
    const text = this.text(name);
    return text === "true" ? true : text === "false" ? false : (text as undefined);
  }
}

function param(req: Request, name: string): string {
  return String(req.params[name]);
}

/**
 * @throws Problem 400 if the query is not valid UTF-8. URLSearchParams would replace the invalid bytes with U+FFFD, and
 *   different ids would become one.
 */
function parseQuery(query: string): URLSearchParams {
  try {
    decodeURIComponent(query);
  } catch {
    throw new Problem(400, "ERR_INVALID_REQUEST", "The query is not percent-encoded UTF-8");
  }
  return new URLSearchParams(query);
}

/** Refuses unknown and repeated names: a misspelt or second `except` would be ignored, and its session would be ended. */
function checkQuery(query: URLSearchParams, { name, query: known }: Accepts): void {
  const aliases = known.includes("dt") ? ["deltaTime"] : [];
  checkNames(name, Object.fromEntries(query), [...known, ...aliases]);
  for (const one of query.keys()) {
    if (query.getAll(one).length > 1) throw invalidValue(`${name} takes one ${one}, not several`);
  }
}

/** @throws Problem 415 if there is a body whose type is not JSON */
export function assertJson(req: Request): void {
  const hasBody = req.get("transfer-encoding") !== undefined || Number(req.get("content-length") ?? 0) > 0;
  if (hasBody && !req.is("application/json")) {
    throw new Problem(415, "ERR_UNSUPPORTED_MEDIA_TYPE", "Send JSON, with Content-Type: application/json");
  }
}

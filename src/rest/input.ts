import type { Request } from "express";
import { checkInteger, whichOf } from "../engine/checks.js";
import { invalidValue } from "../errors.js";
import type { CreateOptions, Which } from "../types.js";
import { checkNames } from "../util/rules.js";
import { Problem } from "./problem.js";

/** The most sessions in an answer, and how many there are by default. */
export const MOST_LISTED = 1000;

/** What a route takes, as far as its input is concerned. */
interface Accepts {
  readonly name: string;
  readonly query: readonly string[];
}

/**
 * What a request says, in the engine's words. Values are passed on as they are, and refused by the engine's own rules;
 * only what a URL cannot say (numbers, true and false) is translated.
 */
export class Input {
  readonly app: string;
  readonly #req: Request;
  readonly #query: URLSearchParams;

  /** @throws SessionError `invalidValue` for a parameter that the route does not have, or that is given twice */
  constructor(req: Request, route: Accepts) {
    this.#req = req;
    this.#query = parseQuery(/\?(.*)$/s.exec(req.originalUrl)?.[1] ?? "");
    checkQuery(this.#query, route);
    this.app = param(req, "app");
  }

  get id(): string {
    return param(this.#req, "id");
  }

  /** The token in the path, or for `-` the one in the header `X-Session-Token`, where no access log sees it. */
  get token(): string {
    const token = param(this.#req, "token");
    return token === "-" ? (this.#req.get("x-session-token") ?? "") : token;
  }

  /** The session by its token, or by its ref. */
  get which(): Which {
    return whichOf(this.app, this.token);
  }

  /** The body, an object; undefined when there is none, or an empty one. */
  get body(): NonNullable<CreateOptions["d"]> | undefined {
    const { body } = this.#req;
    // What is no object is refused by the engine: a list, or what another body parser than ours has left here.
    if (Buffer.isBuffer(body)) return body.toString() as never;
    if (typeof body !== "object" || body === null || Array.isArray(body)) return body as never;
    return Object.keys(body).length === 0 ? undefined : body;
  }

  text(name: string): string | undefined {
    return this.#query.get(name) ?? undefined;
  }

  /** The span of time, by either of its names in the engine. */
  get span(): { dt: number } {
    return { dt: this.number("dt"), deltaTime: this.number("deltaTime") } as { dt: number };
  }

  /** The part of a list. @throws SessionError `invalidValue` for a limit beyond MOST_LISTED */
  get part(): { limit: number; offset: number | undefined } {
    const limit = checkInteger("limit", this.number("limit") ?? MOST_LISTED, 1, MOST_LISTED);
    return { limit, offset: this.number("offset") };
  }

  /** A number of the query; what is no number goes to the engine as it is, to be refused there. */
  number(name: string): number | undefined {
    const text = this.text(name);
    return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : (text as undefined);
  }

  /** true or false in the query; what is neither goes to the engine as it is, to be refused there. */
  boolean(name: string): boolean | undefined {
    const text = this.text(name);
    return text === "true" ? true : text === "false" ? false : (text as undefined);
  }
}

function param(req: Request, name: string): string {
  return String(req.params[name]);
}

/** @throws Problem 400 for what URLSearchParams would take for U+FFFD, so that two ids or addresses would be one */
function parseQuery(query: string): URLSearchParams {
  try {
    decodeURIComponent(query);
  } catch {
    throw new Problem(400, "ERR_INVALID_REQUEST", "The query is not percent-encoded UTF-8");
  }
  return new URLSearchParams(query);
}

/** A misspelt `except` would be none, and so would the second of two. */
function checkQuery(query: URLSearchParams, { name, query: known }: Accepts): void {
  const aliases = known.includes("dt") ? ["deltaTime"] : [];
  checkNames(name, Object.fromEntries(query), [...known, ...aliases]);
  for (const one of query.keys()) {
    if (query.getAll(one).length > 1) throw invalidValue(`${name} takes one ${one}, not several`);
  }
}

/** @throws Problem 415 when there is a body that is no JSON */
export function assertJson(req: Request): void {
  const hasBody = req.get("transfer-encoding") !== undefined || Number(req.get("content-length") ?? 0) > 0;
  if (hasBody && !req.is("application/json")) {
    throw new Problem(415, "ERR_UNSUPPORTED_MEDIA_TYPE", "Send JSON, with Content-Type: application/json");
  }
}

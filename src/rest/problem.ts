import { STATUS_CODES } from "node:http";
import type { ErrorRequestHandler, Request, Response } from "express";
import { isRefusal, SessionError, type SessionErrorCode } from "../errors.js";

/** Every `code` of an answer, in the order of their statuses. */
export const CODES = [
  "ERR_MISSING_PARAMETER",
  "ERR_INVALID_FORMAT",
  "ERR_INVALID_VALUE",
  "ERR_INVALID_REQUEST",
  "ERR_UNAUTHORIZED",
  "ERR_FORBIDDEN",
  "ERR_NOT_FOUND",
  "ERR_METHOD_NOT_ALLOWED",
  "ERR_TOO_MANY_SESSIONS",
  "ERR_BODY_TOO_LARGE",
  "ERR_UNSUPPORTED_MEDIA_TYPE",
  "ERR_INTERNAL",
  "ERR_TIMEOUT",
  "ERR_UNAVAILABLE",
] as const;

type Code = (typeof CODES)[number] | SessionErrorCode;

/** An answer that says what went wrong, as `application/problem+json` (RFC 9457) with a stable `code`. */
export class Problem extends Error {
  readonly status: number;
  readonly code: Code;
  readonly headers: Readonly<Record<string, string>>;
  /** What would have been right, where the message alone does not say it. */
  readonly hint: string | undefined;

  constructor(status: number, code: Code, message: string, headers: Record<string, string> = {}, hint?: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
    this.hint = hint;
  }
}

/** Carries to the last handler what else our own steps have thrown, whatever that is. */
export class Failure {
  readonly thrown: unknown;

  constructor(thrown: unknown) {
    this.thrown = thrown;
  }
}

export function sendProblem(res: Response, { status, code, message, headers, hint }: Problem): void {
  const problem = { type: "about:blank", title: STATUS_CODES[status], status, code, detail: message, hint };
  res.status(status).set(headers).type("application/problem+json").send(JSON.stringify(problem));
}

/**
 * The last handler of the router: every error becomes a problem, and none says more than it should. What a 500 does not
 * say, `onError` is told.
 */
export function answerError(onError: OnError): ErrorRequestHandler {
  return (error, req, res, next) => {
    if (res.headersSent) return next(error);
    const problem = toProblem(error);
    sendProblem(res, problem);
    if (problem.status === 500) tell(onError, error instanceof Failure ? error.thrown : error, req);
  };
}

function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof SessionError) {
    const status = error.status ?? (isRefusal(error) ? 400 : 500);
    if (status === 500) return internal();
    // What hints at our own set-up is for the operator's log, not for callers.
    if (status === 503) return new Problem(status, error.code, error.message, { "Retry-After": "1" });
    return new Problem(status, error.code, error.message, {}, error.hint);
  }
  // What Express and its body parser raise carries a status. Their messages may quote the request.
  const { status, type, body } = Object(error) as Raised;
  switch (status) {
    case 413:
      return new Problem(413, "ERR_BODY_TOO_LARGE", "The body is larger than 64 KiB");
    case 415:
      return new Problem(
        415,
        "ERR_UNSUPPORTED_MEDIA_TYPE",
        "The body must be JSON in UTF-8, not compressed otherwise than by gzip, deflate or br",
      );
    case 400:
      return new Problem(400, "ERR_INVALID_REQUEST", complaintOf(error instanceof URIError, type, body));
    default:
      return internal();
  }
}

/** What Express and its body parser raise. */
interface Raised {
  status?: unknown;
  /** The body parser's name for what went wrong. */
  type?: unknown;
  body?: unknown;
}

/** Says what is wrong with a request that Express or its body parser could not read. */
function complaintOf(inPath: boolean, type: unknown, body: unknown): string {
  if (inPath) return "The path is not percent-encoded UTF-8";
  if (type !== "entity.parse.failed") return "The body is not what its Content-Encoding and Content-Length say";
  return isJson(body) ? "The body must be a JSON object" : "The body is not JSON";
}

/** The parser takes objects and lists only, and calls all else malformed. */
function isJson(body: unknown): boolean {
  try {
    JSON.parse(String(body));
    return true;
  } catch {
    return false;
  }
}

function internal(): Problem {
  return new Problem(500, "ERR_INTERNAL", "Something went wrong on this server");
}

/** Is told what a 500 does not tell its caller. */
export type OnError = (error: unknown, req: Request) => void;

/** An error in one line: its name, its message, and why. */
export function describeError(error: unknown): string {
  const { name, message } = Object(error) as Partial<Error>;
  // What is thrown need not be an error.
  if (message === undefined)
    return oneLine(`${typeof error} was thrown${typeof error === "string" ? `: ${error}` : ""}`);
  return oneLine(`${name}: ${message}${reasonOf(error)}`);
}

/** An app's error may quote its request, and what a request says must not look like another line of the log. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, " ");
}

/** What the cause of an error adds to its message, to be put behind that. */
export function reasonOf(error: unknown): string {
  const { message, cause } = Object(error) as Partial<Error>;
  return cause instanceof Error && !message?.includes(cause.message) ? `: ${cause.message}` : "";
}

/** The request is left out: its address may hold a token. */
export const printError: OnError = (error) => console.error(`ioredis-sessions/rest: ${describeError(error)}`);

/** Tells of an error. A logger that fails itself, at once or later, must not take the answer or the process with it. */
export function tell(onError: OnError, error: unknown, req: Request): void {
  new Promise<void>((resolve) => resolve(onError(error, req))).catch((failure) => printError(failure, req));
}

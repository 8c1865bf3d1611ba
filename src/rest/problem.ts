import { STATUS_CODES } from "node:http";
import type { ErrorRequestHandler, Request, Response } from "express";
import { isRefusal, SessionError, type SessionErrorCode } from "../errors.js";
import { describeError } from "../util/describe-error.js";

/** Every `code` of an error response, in the order of the status codes. */
export const CODES = [
  "ERR_MISSING_PARAMETER",
  "ERR_INVALID_FORMAT",
  "ERR_INVALID_VALUE",
  "ERR_INVALID_REQUEST",
  "ERR_UNAUTHORIZED",
  "ERR_FORBIDDEN",
  "ERR_IMPERSONATED",
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

/** An error that is sent as `application/problem+json` (RFC 9457) with a stable `code`. */
export class Problem extends Error {
  readonly status: number;
  readonly code: Code;
  readonly headers: Readonly<Record<string, string>>;
  /** How to correct the request, if the message does not say it. */
  readonly hint: string | undefined;

  constructor(status: number, code: Code, message: string, headers: Record<string, string> = {}, hint?: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
    this.hint = hint;
  }
}

/** Wraps any other value that one of our handlers threw. */
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
 * The router's error handler. It answers every error with a problem that reveals nothing about the server, and passes the
 * error behind a 500 to `onError`.
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
    // The hint is left out: it is about the server's own setup, which callers must not see.
    if (status === 503) return new Problem(status, error.code, error.message, { "Retry-After": "1" });
    return new Problem(status, error.code, error.message, {}, error.hint);
  }
  // Errors of Express and its body parser have a status. Their messages are not sent, because they may quote the request.
  const { status, type, body } = Object(error) as Raised;
  switch (status) {
    case 413:
      return new Problem(413, "ERR_BODY_TOO_LARGE", "The body is larger than 64 KiB");
    case 415:
      return new Problem(
        415,
        "ERR_UNSUPPORTED_MEDIA_TYPE",
        "The body must be JSON in UTF-8, uncompressed or compressed with gzip, deflate or br",
      );
    case 400:
      return new Problem(400, "ERR_INVALID_REQUEST", complaintOf(error instanceof URIError, type, body));
    default:
      return internal();
  }
}

/** The properties of an error of Express or its body parser. */
interface Raised {
  status?: unknown;
  /** The body parser's name of the error. */
  type?: unknown;
  body?: unknown;
}

/** Says what is wrong with a request that Express or its body parser could not read. */
function complaintOf(inPath: boolean, type: unknown, body: unknown): string {
  if (inPath) return "The path is not percent-encoded UTF-8";
  if (type !== "entity.parse.failed") return "The body does not match its Content-Encoding or Content-Length";
  return isJson(body) ? "The body must be a JSON object" : "The body is not JSON";
}

/** Whether the body is valid JSON. The parser calls everything except objects and arrays malformed. */
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

/** Called with the error behind a 500, which the response does not reveal. */
export type OnError = (error: unknown, req: Request) => void;

/** Prints an error without its request, whose URL may contain a token. */
export const printError: OnError = (error) => console.error(`ioredis-sessions/rest: ${describeError(error)}`);

/** Calls `onError`. If `onError` itself throws or rejects, its error is printed: it must not end the process. */
export function tell(onError: OnError, error: unknown, req: Request): void {
  new Promise<void>((resolve) => resolve(onError(error, req))).catch((failure) => printError(failure, req));
}

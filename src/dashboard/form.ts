import type { IncomingMessage } from "node:http";
import { formExpired, Refusal } from "./refusal.js";

/** The maximum length of a form, in bytes. */
const MAX_BYTES = 16 * 1024;

/** The fields of a form. */
export type Form = Readonly<Record<string, string | undefined>>;

/**
 * Reads a form. If a body parser of the app has read the request before, its result is used.
 * @throws Refusal 413 if the form is too large
 */
export async function readForm(req: IncomingMessage): Promise<Form> {
  const { body } = req as { body?: unknown };
  if (req.readableEnded || req.destroyed) return typeof body === "object" && body !== null ? onlyTexts(body) : {};
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of req as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > MAX_BYTES) throw new Refusal(413, "formExpired", "formExpiredNote", { Connection: "close" });
    parts.push(part);
  }
  if (!/^application\/x-www-form-urlencoded\b/i.test(req.headers["content-type"] ?? "")) throw formExpired();
  return Object.fromEntries(new URLSearchParams(Buffer.concat(parts).toString()));
}

/** Omits the lists and objects that a body parser makes of names such as `id[]`. */
function onlyTexts(body: object): Form {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => typeof value === "string"));
}

import type { IncomingMessage, ServerResponse } from "node:http";
import { isOutage } from "../errors.js";
import { omitUndefined } from "../util/objects.js";
import { isCrossSite } from "../util/origin.js";
import { report } from "./actions.js";
import { sendAsset } from "./assets.js";
import { personOf } from "./authorize.js";
import { type Form, readForm } from "./form.js";
import { Formats } from "./formats.js";
import { type Html, html } from "./html.js";
import { Keyring } from "./keyring.js";
import { type Location, locate } from "./location.js";
import { checkDashboardOptions, type DashboardOptions } from "./options.js";
import { message } from "./pages/layout.js";
import { formExpired, notFound, Refusal } from "./refusal.js";
import { answer } from "./routes.js";
import { type DashboardTexts, TEXTS } from "./texts.js";
import { Visit } from "./visit.js";

/** Middleware for Express, Connect and node:http. It answers every request under its path. */
export type Dashboard = (req: IncomingMessage, res: ServerResponse) => void;

/** The headers of all responses. The policy allows files of our own and nothing else. */
const HEADERS = Object.entries({
  "Cache-Control": "no-store",
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
    "frame-ancestors 'none'; base-uri 'none'",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  // Not no-referrer: browsers would send "Origin: null" with the forms.
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "X-Robots-Tag": "noindex",
});

/**
 * Creates a page for the people who run an app: who is signed in, the sessions of a user, and forms to end them. Mount it
 * behind your own sign-in. `authorize` then says what each person may do.
 *
 * @throws SessionError `invalidValue` if `rs`, `apps` or `authorize` is missing, or an option is invalid
 */
export function dashboard(options: DashboardOptions): Dashboard {
  checkDashboardOptions(options);
  const texts: DashboardTexts = { ...TEXTS, ...omitUndefined<Partial<DashboardTexts>>(options.texts ?? {}) };
  const setup: Setup = { options, texts, formats: new Formats(texts.lang) };

  return function dashboard(req, res) {
    for (const [name, value] of HEADERS) res.setHeader(name, value);
    const location = locate(req);
    respond(req, res, setup, location).catch((error) => {
      // The browser has gone away while its form was read.
      if (error === req.errored) return;
      const refusal = toRefusal(error);
      if (refusal.status >= 500) report(options, error, req);
      if (res.headersSent) return;
      for (const [name, value] of Object.entries(refusal.headers)) res.setHeader(name, value);
      sendPage(res, refusal.status, refusalPage(refusal, texts, location.root));
    });
  };
}

/** What all requests share. */
type Setup = Pick<Visit, "options" | "texts" | "formats">;

async function respond(
  req: IncomingMessage,
  res: ServerResponse,
  setup: Setup,
  { segments, query, root, redirect }: Location,
): Promise<void> {
  if (segments[0] === "-") {
    if (!sendAsset(res, segments[1] ?? "")) throw notFound();
    return;
  }
  const person = await personOf(setup.options, req);
  // Something else has answered meanwhile, for example a request timeout.
  if (res.headersSent) return;
  if (req.method !== "GET" && req.method !== "HEAD" && req.method !== "POST") {
    throw new Refusal(405, "notFound", "notFoundNote", { Allow: "GET, HEAD, POST" });
  }
  const keyring = Keyring.of(req, res);
  const form = req.method === "POST" ? await checkedForm(req, keyring) : undefined;
  const visit = new Visit({ ...setup, req, person, keyring, root, query }, segments[0] ?? "");
  const result = redirect === undefined ? await answer(visit, segments, form) : { to: redirect };
  if (res.headersSent) return;
  if ("to" in result) res.writeHead(303, { Location: result.to }).end();
  else if ("page" in result) sendPage(res, 200, result.page);
  // A browser does not ask again after 204.
  else if (result.stream === undefined || req.method === "HEAD") res.writeHead(204).end();
  else result.stream(res);
}

function sendPage(res: ServerResponse, status: number, page: Html): void {
  res.statusCode = status;
  res.setHeader("Content-Type", "text/html; charset=utf-8");
  res.end(page.toString());
}

function refusalPage({ status, heading, note }: Refusal, texts: DashboardTexts, root: string): Html {
  const retry = html`<a class="button" href="">${texts.tryAgain}</a>`;
  const back = html`<a class="button" href="${root}">${texts.back}</a>`;
  // A person who may see nothing needs no link.
  const action = note === "notAllowedNote" ? undefined : status >= 500 ? retry : back;
  return message(root, texts, { title: texts[heading], note: texts[note], action });
}

/** @throws Refusal 403 if the form was not sent by a page of ours, in this browser */
async function checkedForm(req: IncomingMessage, keyring: Keyring): Promise<Form> {
  if (isCrossSite(req) || req.headers["sec-fetch-site"] === "same-site") throw formExpired();
  const form = await readForm(req);
  if (!keyring.isFormToken(form.token ?? "")) throw formExpired();
  return form;
}

function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (isOutage(error)) return new Refusal(503, "redisAway", "redisAwayNote", { "Retry-After": "1" });
  return new Refusal(500, "failed", "failedNote");
}

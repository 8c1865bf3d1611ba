import type { ServerResponse } from "node:http";
import { internalsOf } from "../engine/internals.js";
import type { SessionEvent } from "../types.js";
import { type Html, html } from "./html.js";
import { userLink } from "./pages/parts.js";
import type { DashboardTexts } from "./texts.js";
import type { Visit } from "./visit.js";

/** How long a stream stays open, in ms. The browser then opens another one, for which `authorize` is asked again. */
const MAX_OPEN = 60_000;

/** How long events are collected before they are sent together, in ms. */
const INTERVAL = 250;

/** How many lines are sent together, at most. Of more events only the latest are shown. */
const MAX_LINES = 20;

/** Events of other kinds change nothing that the pages show. */
const SHOWN: readonly SessionEvent["kind"][] = ["created", "rotated", "ended"];

/**
 * Answers with the events of the app, or those of one user, as server-sent events. The data of each is markup: lines for the list
 * of events, or nothing if the page needs only to be renewed.
 */
export function streamEvents(visit: Visit, res: ServerResponse, user?: string): void {
  res.writeHead(200, {
    "Content-Type": "text/event-stream",
    // Without no-transform, the package compression would hold the events back. nginx knows the other header.
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
  });
  res.write("retry: 1000\n\n");

  let waiting: SessionEvent[] = [];
  let timer: NodeJS.Timeout | undefined;
  function send(): void {
    timer = undefined;
    const lines = waiting.slice(-MAX_LINES).reverse().map(lineOf);
    waiting = [];
    // A browser that does not read must not fill the memory. A response that was ended may still be on its way to it.
    if (!res.writableEnded && !res.writableNeedDrain)
      res.write(`data: ${html`${lines}`.toString().replace(/\n/g, "")}\n\n`);
  }

  const stop = internalsOf(visit.options.rs).listen(visit.app, {
    onEvent(event) {
      if (!SHOWN.includes(event.kind) || (user !== undefined && event.id !== user)) return;
      waiting = [...waiting.slice(1 - MAX_LINES), event];
      timer ??= setTimeout(send, INTERVAL);
    },
  });
  // A response would wait for a browser that does not read, and go on collecting events for it.
  const end = setTimeout(() => (res.writableNeedDrain ? res.destroy() : res.end()), MAX_OPEN);
  res.once("close", () => {
    stop();
    clearTimeout(timer);
    clearTimeout(end);
  });

  function lineOf(event: SessionEvent): Html | undefined {
    // A session of RedisStore without a user is no sign-in.
    if (event.kind === "changed" || event.kind === "rotated" || event.id === "") return undefined;
    const text = visit.text(event.kind === "created" ? "eventCreated" : endOf(event.reason), {
      id: userLink(visit, event.id),
    });
    return html`<li class="${event.kind}"><span>${text}</span> <span class="soft">${visit.clock(event.at)}</span></li>`;
  }
}

const ENDS: { readonly [reason: string]: keyof DashboardTexts } = {
  killed: "eventKilled",
  expired: "eventExpired",
  replaced: "eventReplaced",
  limit: "eventLimit",
  reused: "eventReused",
};

/** A newer version of the package, in another process, may announce other reasons. */
function endOf(reason: string): keyof DashboardTexts {
  return Object.hasOwn(ENDS, reason) ? (ENDS[reason] as keyof DashboardTexts) : "eventEnded";
}

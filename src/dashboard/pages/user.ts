import { quoteId } from "../../sessions/keys.js";
import { type Content, type Html, html } from "../html.js";
import { notFound } from "../refusal.js";
import type { Visit } from "../visit.js";
import { layout } from "./layout.js";
import { empty, sessionTable } from "./parts.js";

const PAGE = 50;

/** A user's sessions, newest first. */
export async function userPage(visit: Visit, id: string, notice: Content): Promise<Html> {
  const { texts } = visit;
  const offset = offsetOf(visit);
  const { sessions, total } = await visit.sessions.index.headersOfUser(quoteId(id), { offset, limit: PAGE });
  const listed = visit.showAll(sessions);
  const url = visit.userUrl(id);
  return layout(visit, {
    title: id,
    notice,
    events: visit.eventsUrl(id),
    body: html`
<div class="head"><div><p class="soft over">${texts.user}</p><h1>${id}</h1></div>
${total > 0 && visit.may("support") && html`<a class="button danger" href="${visit.userUrl(id, "end")}" data-dialog>${texts.endAll}</a>`}</div>
<section class="card" id="list" data-live>
<div class="head"><h2>${visit.text("sessionCount", { count: visit.formats.number(total) })}</h2>${total > 1 && html`<span class="soft">${texts.newest}</span>`}</div>
${listed.length === 0 ? empty(texts.noSessionsOfUser) : sessionTable(visit, listed, { caption: visit.text("sessionCount", { count: total }), ofUser: true })}
</section>
<nav class="pages" aria-label="${texts.pages}">
${offset > 0 && html`<a class="button" rel="prev" href="${url}?offset=${Math.max(0, offset - PAGE)}">${texts.previous}</a>`}
${offset + PAGE < total && html`<a class="button" rel="next" href="${url}?offset=${offset + PAGE}">${texts.next}</a>`}
</nav>`,
  });
}

function offsetOf({ query }: Visit): number {
  const text = query.get("offset") ?? "0";
  if (!/^\d{1,9}$/.test(text)) throw notFound();
  return Number(text);
}

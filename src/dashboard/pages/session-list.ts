import { cursorBefore } from "../../sessions/paging.js";
import { type Html, html } from "../html.js";
import { notFound } from "../refusal.js";
import type { Visit } from "../visit.js";
import { layout } from "./layout.js";
import { empty, sessionTable } from "./parts.js";

const PAGE = 50;

/** From which last use on sessions can be listed: seconds ago. */
const UNUSED_FOR = { any: 0, oneHour: 3600, oneDay: 86_400, oneWeek: 7 * 86_400 } as const;

/** All sessions, most recently active first. A page begins at a cursor, so the last one costs as much as the first. */
export async function sessionList(visit: Visit): Promise<Html> {
  const { texts, query } = visit;
  const { index } = visit.sessions;
  const [{ sessions, next }, total] = await Promise.all([
    index.activeHeaders(cursorOf(visit), PAGE),
    index.countSessions(0),
  ]);
  const listed = visit.showAll(sessions);
  const url = visit.url("sessions");
  const unusedFor = query.get("unused") ?? "any";
  return layout(visit, {
    title: texts.allSessions,
    here: "allSessions",
    events: query.has("after") ? undefined : visit.eventsUrl(),
    body: html`
<div class="head"><div><h1>${texts.allSessions}</h1><p class="soft">${visit.text("sessionCount", { count: visit.formats.number(total) })} · ${texts.mostRecent}</p></div>
<nav class="choice" aria-label="${texts.showUnusedFor}"><span>${texts.showUnusedFor}</span> ${Object.keys(
      UNUSED_FOR,
    ).map(
      (name) =>
        html`<a href="${name === "any" ? url : `${url}?unused=${name}`}"${name === unusedFor && html` aria-current="true"`}>${texts[name as keyof typeof UNUSED_FOR]}</a>`,
    )}</nav></div>
<section class="card" id="list"${!query.has("after") && html` data-live`}>
${listed.length === 0 ? empty(texts.noSessions) : sessionTable(visit, listed, { caption: texts.allSessions, ofUser: false })}
</section>
<nav class="pages" aria-label="${texts.pages}">
${query.has("after") && html`<a class="button" href="${url}">${texts.first}</a>`}
${next !== undefined && html`<a class="button" rel="next" href="${url}?after=${encodeURIComponent(visit.keyring.seal("cursor", next))}">${texts.next}</a>`}
</nav>`,
  });
}

/** @throws Refusal 404 if the URL was made for another browser */
function cursorOf({ query, keyring, now }: Visit): string {
  const after = query.get("after");
  if (after !== null) {
    const cursor = keyring.open("cursor", after);
    if (cursor === undefined) throw notFound();
    return cursor;
  }
  const unusedFor = query.get("unused") ?? "any";
  if (!Object.hasOwn(UNUSED_FOR, unusedFor)) throw notFound();
  const seconds = UNUSED_FOR[unusedFor as keyof typeof UNUSED_FOR];
  return seconds === 0 ? "" : cursorBefore(now - seconds * 1000);
}

import { parseData, type StoredSession } from "../../sessions/session-text.js";
import { type Content, type Html, html } from "../html.js";
import { isPublic, type Visit } from "../visit.js";
import { layout } from "./layout.js";
import { badges, deviceOf, ending, lastUse, userLink } from "./parts.js";

/** How many characters of the data are shown. */
const MAX_DATA = 20_000;

/** Everything about one session. */
export function sessionPage(visit: Visit, stored: StoredSession): Html {
  const { texts } = visit;
  const session = visit.show(stored);
  const fields: readonly (readonly [label: string, value: Content])[] = [
    [texts.user, userLink(visit, session.id)],
    [texts.device, deviceOf(visit, session)],
    [texts.address, session.ip !== "" && html`<span class="mono">${session.ip}</span>`],
    [texts.lastDevice, session.lastDevice],
    [texts.lastAddress, session.lastIp && html`<span class="mono">${session.lastIp}</span>`],
    [texts.actor, session.actor],
    [texts.signedIn, visit.moment(session.created)],
    [texts.authenticated, session.authTime !== session.created && visit.moment(session.authTime)],
    [texts.lastSeen, lastUse(visit, session)],
    [stored.no_resave ? texts.endsFixed : texts.ends, ending(visit, session)],
    [texts.idleTimeout, stored.ttl > 0 ? visit.formats.span(stored.ttl) : texts.never],
    [texts.prolonged, session.no_resave ? texts.no : texts.yes],
    [texts.cookie, session.maxAge === null ? texts.untilClosed : session.maxAge && visit.formats.span(session.maxAge)],
    [texts.reads, visit.formats.number(session.r)],
    [texts.writes, visit.formats.number(session.w)],
    [texts.ref, isPublic(session.ref) && html`<span class="mono">${session.ref}</span>`],
  ];
  return layout(visit, {
    title: texts.session,
    body: html`
<div class="head"><div><p class="soft over">${texts.session}</p><h1>${deviceOf(visit, session)}${badges(visit, session)}</h1></div>
${visit.may("support") && html`<a class="button danger" href="${visit.sessionUrl(session.ref, "end")}" data-dialog>${texts.end}</a>`}</div>
<section class="card" id="session"><dl class="fields">${fields.map(
      ([label, value]) => value !== undefined && value !== false && html`<div><dt>${label}</dt><dd>${value}</dd></div>`,
    )}</dl></section>
${showsData(visit) && html`<section class="card"><h2>${texts.data}</h2>${dataOf(visit, stored)}</section>`}`,
  });
}

/** Whether the data of sessions is shown to the person. */
export function showsData(visit: Visit): boolean {
  return visit.options.data === true && visit.may("support");
}

function dataOf(visit: Visit, stored: StoredSession): Content {
  if (stored.isEmpty) return html`<p class="soft">${visit.texts.noData}</p>`;
  const json = stored.json();
  // To parse and print megabytes would block the event loop.
  const isLong = json.length > MAX_DATA;
  const text = isLong ? json.slice(0, MAX_DATA) : JSON.stringify(parseData(json), null, 2);
  return html`${isLong && html`<p>${visit.text("dataCut", { count: visit.formats.number(MAX_DATA) })}</p>`}<pre tabindex="0">${text}</pre>`;
}

import { type Content, type Html, html } from "../html.js";
import type { Listed, Visit } from "../visit.js";

/** A link to a user's page; of a session without a user, a text. */
export function userLink(visit: Visit, id: string): Html {
  if (id === "") return html`<span class="soft">${visit.texts.anonymous}</span>`;
  return html`<a href="${visit.userUrl(id)}">${id}</a>`;
}

export function deviceOf(visit: Visit, { device }: Pick<Listed, "device">): Content {
  return device ?? html`<span class="soft">${visit.texts.unknownDevice}</span>`;
}

/** What is special about a session. */
export function badges(visit: Visit, session: Listed): Content {
  return [
    session.ref === visit.person.ref && html` <span class="badge good">${visit.texts.you}</span>`,
    session.actor !== undefined &&
      html` <span class="badge warn">${visit.text("impersonated", { actor: session.actor })}</span>`,
  ];
}

export function lastUse(visit: Visit, session: Listed): Html {
  return visit.relative(visit.now - session.idle * 1000);
}

export function ending(visit: Visit, { expires }: Listed): Content {
  return Number.isFinite(expires) ? visit.moment(expires) : visit.texts.never;
}

/** A table of sessions. On a narrow screen each row becomes a card. */
export function sessionTable(visit: Visit, sessions: readonly Listed[], { caption, ofUser }: TableOptions): Html {
  const { texts } = visit;
  const columns = [
    !ofUser && texts.user,
    texts.device,
    texts.address,
    ofUser && texts.signedIn,
    texts.lastSeen,
    ofUser && texts.ends,
  ].filter((column) => column !== false);
  return html`
<table class="sessions">
<caption class="hidden">${caption}</caption>
<thead><tr>${columns.map((column) => html`<th scope="col">${column}</th>`)}<th scope="col"><span class="hidden">${texts.action}</span></th></tr></thead>
<tbody>${sessions.map((session) => row(visit, session, ofUser))}</tbody>
</table>`;
}

interface TableOptions {
  readonly caption: Content;
  /** Whether all sessions are of one user, who is then not shown. */
  readonly ofUser: boolean;
}

function row(visit: Visit, session: Listed, ofUser: boolean): Html {
  const { texts } = visit;
  const { id, ip, lastIp } = session;
  const device = html`<a href="${visit.sessionUrl(session.ref)}">${deviceOf(visit, session)}</a>`;
  const cell = (label: string, content: Content) => html`<td data-label="${label}">${content}</td>`;
  return html`<tr>
${
  ofUser
    ? html`<th scope="row">${device}${badges(visit, session)}</th>`
    : html`<th scope="row">${userLink(visit, id)}${badges(visit, session)}</th>${cell(texts.device, device)}`
}
${cell(texts.address, html`<span class="mono">${lastIp ?? (ip || texts.unknown)}</span>`)}
${ofUser && cell(texts.signedIn, visit.moment(session.created))}
${cell(texts.lastSeen, lastUse(visit, session))}
${ofUser && cell(texts.ends, ending(visit, session))}
<td class="end">${visit.may("support") && html`<a class="button" href="${visit.sessionUrl(session.ref, "end")}" data-dialog>${texts.end}<span class="hidden"> ${session.device ?? texts.unknownDevice}, ${lastIp ?? ip}, ${id}</span></a>`}</td>
</tr>`;
}

export function empty(text: Content): Html {
  return html`<p class="empty">${text}</p>`;
}

/** Horizontal bars with their shares. */
export function shares(visit: Visit, counts: ReadonlyMap<string, number>): Html {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const sorted = [...counts].sort(([a, first], [b, second]) => second - first || a.localeCompare(b));
  const rest = sorted.slice(MAX_SHARES).reduce((sum, [, count]) => sum + count, 0);
  const shown = rest > 0 ? [...sorted.slice(0, MAX_SHARES), [visit.texts.others, rest] as const] : sorted;
  return html`<ul class="shares">${shown.map(
    ([name, count]) => html`<li><span>${name}</span><b>${visit.formats.percent(count / total)}</b>
<svg class="share" width="100%" height="6" aria-hidden="true"><rect class="rail" width="100%" height="6" rx="3"/><rect width="${((count / total) * 100).toFixed(1)}%" height="6" rx="3"/></svg></li>`,
  )}</ul>`;
}

/** How many shares are shown; the others are added up. */
const MAX_SHARES = 5;

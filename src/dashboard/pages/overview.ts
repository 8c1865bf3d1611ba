import { type Content, type Html, html } from "../html.js";
import type { Listed, Visit } from "../visit.js";
import { layout } from "./layout.js";
import { empty, sessionTable, shares } from "./parts.js";

/** How many of the most recently active sessions are counted for the shares of devices. */
const SAMPLE = 500;

/** How many of them are listed. */
const LISTED = 8;

const HOURS = 24;

const HOUR = 3600_000;

/** The spans of the numbers on top, in ms. */
const SPANS = { last5Minutes: 300_000, lastHour: HOUR, lastDay: 24 * HOUR } as const;

/** The app's pulse: who is active, with what, and since when. */
export async function overview(visit: Visit, notice: Content): Promise<Html> {
  const { texts, now, app } = visit;
  const { index } = visit.sessions;
  const spans = Object.values(SPANS);
  const [users, sessions, byHour, total, sample] = await Promise.all([
    Promise.all(spans.map((span) => index.countUsers(now - span))),
    Promise.all(spans.map((span) => index.countSessions(now - span))),
    Promise.all(Array.from({ length: HOURS }, (_, hour) => index.countUsers(now - (hour + 1) * HOUR))),
    index.countSessions(0),
    index.activeHeaders("", SAMPLE),
  ]);
  const listed = visit.showAll(sample.sessions);
  const numbers = Object.keys(SPANS).map((span, i) => ({
    span: texts[span as keyof typeof SPANS],
    users: users[i] ?? 0,
    sessions: sessions[i] ?? 0,
  }));
  return layout(visit, {
    title: app,
    here: "overview",
    notice,
    events: visit.eventsUrl(),
    body: html`
<div class="head"><h1>${app}</h1></div>
<div id="pulse" data-live>
<dl class="numbers">
${numbers.map(
  (one) => html`<div><dt>${texts.activeUsers} <span>${visit.text("inLast", { span: one.span })}</span></dt>
<dd>${visit.formats.number(one.users)}</dd><dd class="soft">${texts.sessionsNow}: ${visit.formats.number(one.sessions)}</dd></div>`,
)}
<div><dt>${texts.sessionsNow} <span>${texts.sessionsNowNote}</span></dt><dd>${visit.formats.number(total)}</dd></div>
</dl>
<div class="grid">
<section class="card wide"><h2>${texts.chart}</h2>${chart(visit, byHour)}<p class="soft small">${texts.chartNote}</p></section>
${
  listed.length > 0 &&
  html`<section class="card"><h2>${texts.browsers}</h2>${shares(
    visit,
    countBy(listed, (device) => device[0] ?? texts.unknown),
  )}
<h2>${texts.systems}</h2>${shares(
    visit,
    countBy(listed, (device) => device[1] ?? texts.unknown),
  )}
<p class="soft small">${visit.text("sharesNote", { count: visit.formats.number(listed.length) })}</p></section>`
}
</div>
</div>
<div class="happening">
<section class="card" id="recent" data-live><div class="head"><h2>${texts.recentlyActive}</h2>${
      listed.length > LISTED && html`<a href="${visit.url("sessions")}">${texts.allSessions}</a>`
    }</div>
${
  listed.length === 0
    ? empty(texts.noSessionsInApp)
    : sessionTable(visit, listed.slice(0, LISTED), { caption: texts.recentlyActive, ofUser: false })
}
</section>
${visit.eventsUrl() && feed(visit)}
</div>
${
  visit.may("admin") &&
  html`<p class="danger-zone"><a class="button danger" href="${visit.url("end")}" data-dialog>${texts.endApp}</a></p>`
}`,
  });
}

/** What happens while the page is open. The script fills it, and shows it. */
function feed({ texts }: Visit): Html {
  return html`<section class="card" id="feed" hidden><div class="head"><h2>${texts.happening}</h2><span class="badge good" hidden>${texts.live}</span></div>
<p class="soft">${texts.happeningNone}</p><ol aria-label="${texts.happening}"></ol></section>`;
}

/** Counts the browsers or the systems of devices such as "Firefox on Windows". */
function countBy(sessions: readonly Listed[], nameOf: (parts: readonly string[]) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { device } of sessions) {
    const name = nameOf(device === undefined ? [] : device.split(" on "));
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/**
 * The users by the hour of their last activity.
 * @param within the number of users active within one hour, two hours, …
 */
function chart(visit: Visit, within: readonly number[]): Html {
  const { texts } = visit;
  const counts = within.map((count, hour) => Math.max(0, count - (hour === 0 ? 0 : (within[hour - 1] ?? 0))));
  const max = Math.max(1, ...counts);
  const label = (hour: number) =>
    visit.text("chartBar", { from: hour, to: hour + 1, users: visit.formats.number(counts[hour] ?? 0) });
  return html`
<div class="chart"><span class="max">${visit.formats.number(max)}</span>
<svg viewBox="0 0 ${HOURS} 100" preserveAspectRatio="none" aria-hidden="true">
${counts.map((count, hour) => {
  const height = count === 0 ? 0 : Math.max(2, (count / max) * 100);
  return html`<rect x="${HOURS - 1 - hour + 0.12}" y="${(100 - height).toFixed(1)}" width=".76" height="${height.toFixed(1)}"><title>${label(hour)}</title></rect>`;
})}
</svg>
<div class="axis" aria-hidden="true"><span>${texts.chartStart}</span><span>${texts.chartMiddle}</span><span>${texts.chartEnd}</span></div></div>
<table class="hidden"><caption>${texts.chart}</caption><thead><tr><th scope="col">${texts.hoursAgo}</th><th scope="col">${texts.users}</th></tr></thead>
<tbody>${counts.map((count, hour) => html`<tr><th scope="row">${hour}–${hour + 1}</th><td>${visit.formats.number(count)}</td></tr>`)}</tbody></table>`;
}

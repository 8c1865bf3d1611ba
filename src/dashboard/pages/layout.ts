import { type AssetFile, assetName } from "../assets.js";
import { type Content, type Html, html } from "../html.js";
import type { DashboardTexts } from "../texts.js";
import type { Visit } from "../visit.js";

/** A page's title and content. */
export interface Page {
  readonly title: Content;
  readonly body: Content;
  /** The entry of the navigation that is marked as the present page. */
  readonly here?: "overview" | "allSessions" | undefined;
  /** Shown on top, and read by a screen reader. */
  readonly notice?: Content;
  /** The URL of the events after which the page is renewed. */
  readonly events?: string | undefined;
}

/** A whole page. */
export function layout(visit: Visit, { title, body, here, notice, events }: Page): Html {
  return frame(visit.root, visit.texts, {
    title,
    events,
    bar: html`${visit.app !== "" && [navigation(visit, here), search(visit)]}${personOf(visit)}`,
    body: html`${notice && html`<p class="notice" role="status" tabindex="-1" autofocus>${notice}</p>`}${body}`,
  });
}

/** A page that says one thing, also to a person who may see nothing else. */
export function message(
  root: string,
  texts: DashboardTexts,
  { title, note, action }: { title: Content; note: Content; action?: Content },
): Html {
  const body = html`<section class="card narrow"><h1>${title}</h1><p>${note}</p>${action}</section>`;
  return frame(root, texts, { title, bar: "", body });
}

interface Parts {
  readonly title: Content;
  readonly bar: Content;
  readonly body: Content;
  readonly events?: string | undefined;
}

function frame(root: string, texts: DashboardTexts, parts: Parts): Html {
  const asset = (name: AssetFile) => `${root}-/${assetName(name)}`;
  return html`<!doctype html>
<html lang="${texts.lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${parts.title} · ${texts.title}</title>
<link rel="icon" href="${asset("icon.svg")}" type="image/svg+xml">
<link rel="stylesheet" href="${asset("dashboard.css")}">
<script src="${asset("dashboard.js")}" type="module"></script>
</head>
<body>
<a class="skip" href="#main">${texts.skip}</a>
<header class="bar"><div>
<a class="brand" href="${root}"><img src="${asset("icon.svg")}" alt="" width="28" height="28">${texts.title}</a>
${parts.bar}
</div></header>
<main id="main"${parts.events && html` data-events="${parts.events}"`}>
${parts.body}
</main>
</body>
</html>
`;
}

function navigation(visit: Visit, here: Page["here"]): Html {
  const { texts, options, app, root } = visit;
  const link = (url: string, text: string, isHere: boolean) =>
    html`<a href="${url}"${isHere && html` aria-current="page"`}>${text}</a>`;
  return html`
${
  options.apps.length > 1 &&
  html`<nav class="apps" aria-label="${texts.apps}"><details><summary>${app}</summary><ul>${options.apps.map(
    (one) => html`<li>${link(`${root}${encodeURIComponent(one)}/`, one, one === app)}</li>`,
  )}</ul></details></nav>`
}
<nav aria-label="${options.apps.length > 1 ? app : texts.title}">
${link(visit.url(""), texts.overview, here === "overview")}
${link(visit.url("sessions"), texts.allSessions, here === "allSessions")}
</nav>`;
}

function search(visit: Visit): Html {
  const { texts } = visit;
  return html`
<form class="search" role="search" method="post" action="${visit.url("user")}">
<input type="hidden" name="token" value="${visit.keyring.formToken}">
<input name="id" type="search" aria-label="${texts.search}" placeholder="${texts.search}" required maxlength="128" autocomplete="off" autocapitalize="none" spellcheck="false">
<button>${texts.find}</button>
</form>`;
}

function personOf(visit: Visit): Html {
  const { actor, role } = visit.person;
  return html`<p class="person">${visit.text("signedInAs", { actor: html`<b>${actor}</b>`, role: visit.texts[role] })}</p>`;
}

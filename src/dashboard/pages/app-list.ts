import { type Html, html } from "../html.js";
import type { Visit } from "../visit.js";
import { layout } from "./layout.js";

/** The apps of the dashboard. */
export function appList(visit: Visit): Html {
  const { texts, options, root } = visit;
  return layout(visit, {
    title: texts.apps,
    body: html`
<div class="head"><h1>${texts.apps}</h1></div>
<ul class="card links">${options.apps.map((app) => html`<li><a href="${root}${app}/">${app}</a></li>`)}</ul>`,
  });
}

import type { Target } from "../actions.js";
import { type Content, type Html, html } from "../html.js";
import type { Visit } from "../visit.js";
import { layout } from "./layout.js";

/** What a form ends, and the page that it leads back to. */
export interface Ending {
  readonly target: Target;
  readonly heading: Content;
  readonly note: Content;
  readonly back: string;
}

/** The form that ends sessions. The script shows it as a dialog on the page before. */
export function endPage(visit: Visit, { target, heading, note, back }: Ending, problem?: Content): Html {
  const { texts, options, app, keyring } = visit;
  return layout(visit, {
    title: heading,
    body: html`
<form class="card narrow end-form" method="post">
<h1 id="end-heading">${heading}</h1>
<p>${note}</p>
${problem && html`<p class="problem" role="alert">${problem}</p>`}
<input type="hidden" name="token" value="${keyring.formToken}">
${
  options.onAction !== undefined &&
  html`<label>${texts.reason}<input name="reason" required maxlength="500" autocomplete="off" aria-describedby="reason-note" autofocus></label>
<p class="soft small" id="reason-note">${texts.reasonNote}</p>`
}
${target.action === "killall" && html`<label>${visit.text("typeApp", { app: html`<b>${app}</b>` })}<input name="confirm" required maxlength="20" autocomplete="off" autocapitalize="none" spellcheck="false"></label>`}
<p class="buttons"><button class="danger primary">${texts.confirm}</button> <a class="button" href="${back}">${texts.cancel}</a></p>
</form>`,
  });
}

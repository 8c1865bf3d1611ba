// Makes the pages of the dashboard more convenient. All of them also work without it.

/** How often a page without events is renewed, in ms. */
const INTERVAL = 10_000;

/** The reader's variant of the page's language, such as en-GB. */
const { lang } = document.documentElement;
const locale = navigator.languages.find((one) => one.split("-")[0] === lang.split("-")[0]) ?? lang;

/** Shows times in the reader's time zone. */
function localize(root) {
  const format = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time")) {
    const text = format.format(new Date(time.dateTime));
    time.title = text;
    if ("local" in time.dataset) time.textContent = text;
  }
}

/** Requests a page. Returns undefined if it cannot be shown here, for example because the person was signed out. */
async function load(url) {
  const response = await fetch(url);
  if (!response.ok || response.redirected) return undefined;
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

/** Renews the parts of the page that change. */
async function renew() {
  const fresh = await load(location.href);
  if (fresh === undefined) return;
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (next === null) continue;
    const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    localize(next);
    part.replaceWith(next);
    if (focused !== null) next.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  }
}

/** Shows the form behind a link as a dialog. Resolves to false if there is none. */
async function openDialog(link) {
  const form = (await load(link.href))?.querySelector("form.end-form");
  if (!form) return false;
  form.action = link.href;
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "end-heading");
  dialog.append(form);
  dialog.addEventListener("close", () => {
    dialog.remove();
    link.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return true;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (link === null || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  const dialog = link.closest("dialog");
  if (dialog === null && !("dialog" in link.dataset)) return;
  event.preventDefault();
  if (dialog !== null) return dialog.close();
  openDialog(link).then(
    (isOpen) => isOpen || location.assign(link.href),
    () => location.assign(link.href),
  );
});

// A form is sent once, however often its button is clicked.
document.addEventListener("submit", (event) => {
  const { submitter } = event;
  if (submitter !== null) setTimeout(() => (submitter.disabled = true));
});
// The browser may show the page again as it was left.
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;
});

localize(document);
if (document.querySelector("[data-live]") !== null) {
  setInterval(() => {
    // Nobody looks at a hidden page. An open dialog must not lose its place on the page.
    if (document.visibilityState === "visible" && document.querySelector("dialog") === null) renew().catch(() => {});
  }, INTERVAL);
}

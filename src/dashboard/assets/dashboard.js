// Makes the pages of the dashboard more convenient. All of them also work without it.

/** How often a page without events is renewed, in ms. */
const INTERVAL = 10_000;

/** The reader's variant of the page's language, such as en-GB. */
const { lang } = document.documentElement;
const locale = navigator.languages.find((one) => one.split("-")[0] === lang.split("-")[0]) ?? lang;

/** Shows times in the reader's time zone. */
function localize(root) {
  const format = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  const clock = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
  for (const time of root.querySelectorAll("time")) {
    const date = new Date(time.dateTime);
    time.title = format.format(date);
    if ("local" in time.dataset) time.textContent = time.title;
    if ("clock" in time.dataset) time.textContent = clock.format(date);
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

/** Renews the page, unless nobody looks at it. An open dialog must not lose its place on the page. */
function renewIfSeen() {
  if (document.visibilityState === "visible" && document.querySelector("dialog") === null) renew().catch(() => {});
}

/** How many events are listed. */
const MAX_LINES = 30;

/** Adds lines to the list of events. They are markup of the server, and the page's policy allows no script in it. */
function list(markup) {
  const feed = document.querySelector("#feed");
  const { children } = new DOMParser().parseFromString(markup, "text/html").body;
  if (feed === null || children.length === 0) return;
  feed.querySelector("p").hidden = true;
  const lines = feed.querySelector("ol");
  lines.prepend(...children);
  localize(lines);
  while (lines.children.length > MAX_LINES) lines.lastElementChild.remove();
}

/** Hears the events of the server while somebody looks at the page. */
function listen(url) {
  const feed = document.querySelector("#feed");
  let source;
  let isWaiting = false;
  let lastTime = 0;
  /** Renews the page once for many events, and at most every two seconds. */
  function renewSoon() {
    if (isWaiting) return;
    isWaiting = true;
    setTimeout(
      () => {
        isWaiting = false;
        lastTime = Date.now();
        renewIfSeen();
      },
      Math.max(300, lastTime + 2000 - Date.now()),
    );
  }
  function show(isLive) {
    if (feed === null) return;
    if (isLive) feed.hidden = false;
    feed.querySelector(".badge").hidden = !isLive;
  }
  function open() {
    source = new EventSource(url);
    // What has happened before is not told.
    source.onopen = () => {
      show(true);
      renewSoon();
    };
    source.onmessage = ({ data }) => {
      list(data);
      renewSoon();
    };
    source.onerror = () => show(false);
  }
  document.addEventListener("visibilitychange", () => {
    source?.close();
    if (document.visibilityState === "visible") open();
  });
  if (document.visibilityState === "visible") open();
}

localize(document);
if (document.querySelector("[data-live]") !== null) setInterval(renewIfSeen, INTERVAL);
const { events } = document.querySelector("main").dataset;
if (events !== undefined) listen(events);

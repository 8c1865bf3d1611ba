// Shared by the examples' pages: an escaping template, the style sheet, and the server.
import escapeHtml from "escape-html";

class Html {
  constructor(text) {
    this.text = text;
  }
  toString() {
    return this.text;
  }
}

/** A template tag that escapes its values, except for values that are templates. */
export function html(strings, ...values) {
  const text = strings.map((part, i) => (i === 0 ? part : render(values[i - 1]) + part)).join("");
  return new Html(text);
}

function render(value) {
  if (Array.isArray(value)) return value.map(render).join("");
  if (value instanceof Html) return value.text;
  return value === undefined || value === null || value === false ? "" : escapeHtml(String(value));
}

/**
 * A whole page. `theme` is "light" or "dark"; by default the page follows the visitor's system. `bar` is shown above the
 * content, which may be `wide`.
 */
export function page(title, body, { theme, bar, wide = false } = {}) {
  return html`<!doctype html>
<html lang="en" data-theme="${theme}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:image/svg+xml,${encodeURIComponent(logo("#4f7cf0"))}">
<style>${new Html(style)}</style>
</head>
<body class="${wide && "wide"}">
${bar && html`<header class="bar"><div>${bar}</div></header>`}
<main>${body}</main>
</body>
</html>`.toString();
}

/** A decorative icon in the color of the surrounding text. The text beside it has the meaning. */
export function icon(name) {
  if (name === "logo") return new Html(logo("currentColor"));
  return new Html(
    `<svg class="icon" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">${icons[name]}</svg>`,
  );
}

function logo(color) {
  return `<svg xmlns="http://www.w3.org/2000/svg" class="icon" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" fill="none" stroke="${color}" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"><circle cx="8" cy="15.5" r="4.5"/><path d="m11.2 12.3 8.3-8.3M16 7.5l3 3"/></svg>`;
}

const icons = {
  computer: `<rect x="4" y="5" width="16" height="11" rx="1.5"/><path d="M2 19.5h20"/>`,
  phone: `<rect x="7" y="2.5" width="10" height="19" rx="2"/><path d="M11 18.5h2"/>`,
  program: `<rect x="3" y="4.5" width="18" height="15" rx="2"/><path d="m7 9.5 3 2.5-3 2.5M12.5 15H17"/>`,
};

const style = `
:root {
  color-scheme: light dark;
  --ink: light-dark(#18202d, #e8ebf2); --soft: light-dark(#545e70, #a5afc0);
  --paper: light-dark(#f4f5f8, #0f131a); --card: light-dark(#ffffff, #181e28); --line: light-dark(#e0e4eb, #2b3341);
  --edge: light-dark(#838d9f, #727d91);
  --accent: light-dark(#2450c8, #8fb0ff); --on-accent: light-dark(#ffffff, #0c1424); --accent-paper: light-dark(#e8eefc, #1c2942);
  --danger: light-dark(#b1241c, #ff9d95); --danger-paper: light-dark(#fdeceb, #33191a);
  --good: light-dark(#14603a, #8fdcab); --good-paper: light-dark(#dff3e7, #163325);
}
[data-theme="light"] { color-scheme: light; }
[data-theme="dark"] { color-scheme: dark; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; -webkit-text-size-adjust: 100%; }
main { max-width: 44rem; margin: 0 auto; padding: 2.5rem 1rem; }
.wide main, .bar > div { max-width: 66rem; }
h1 { font-size: 1.6rem; line-height: 1.2; letter-spacing: -.01em; margin: 0 0 .25rem; overflow-wrap: anywhere; text-wrap: balance; }
h2 { font-size: 1.05rem; margin: 0 0 .75rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: 0 0 1rem; text-wrap: pretty; }
.soft, small { color: var(--soft); }
header { display: flex; flex-wrap: wrap; gap: 1rem; justify-content: space-between; align-items: start; margin-bottom: 1.5rem; }
header p { margin: 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.25rem; margin-bottom: 1rem; }
form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin: 0; }
label { display: block; flex: 1 1 12rem; font-weight: 600; font-size: .9rem; }
input { width: 100%; margin-top: .25rem; padding: .55rem .7rem; font: inherit; font-size: 1rem; font-weight: 400; color: inherit; background: var(--card); border: 1px solid var(--edge); border-radius: 8px; }
label.tick { display: flex; flex: none; gap: .6rem; align-items: center; min-height: 2.75rem; font-weight: 400; font-size: 1rem; }
label.tick input { width: 1.2rem; height: 1.2rem; margin: 0; accent-color: var(--accent); }
button, .button { display: inline-block; min-height: 2.5rem; padding: .45rem .9rem; font: inherit; font-size: .95rem; font-weight: 600; border-radius: 8px; border: 1px solid var(--edge); background: var(--card); color: var(--ink); cursor: pointer; text-decoration: none; }
button:hover, .button:hover { background: color-mix(in srgb, var(--card), var(--ink) 7%); }
button.primary { min-height: 2.75rem; background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button.primary:hover { background: color-mix(in srgb, var(--accent), var(--ink) 12%); }
button.danger { color: var(--danger); border-color: currentColor; }
button.danger:hover { background: var(--danger-paper); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
a { color: var(--accent); text-underline-offset: .15em; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: .75rem; margin: 0; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.2rem; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
ul.rows { list-style: none; margin: 0; padding: 0; }
ul.rows > li { display: flex; flex-wrap: wrap; gap: .5rem 1rem; justify-content: space-between; align-items: center; padding: .8rem 0; border-top: 1px solid var(--line); }
ul.rows > li:first-child { border-top: 0; padding-top: 0; }
ul.rows > li:last-child { padding-bottom: 0; }
ul.rows > li > div { flex: 1 1 14rem; min-width: 0; overflow-wrap: anywhere; }
.badge { display: inline-block; margin-left: .4rem; padding: .05rem .5rem; border-radius: 99px; background: var(--good-paper); color: var(--good); font-size: .8rem; font-weight: 600; white-space: nowrap; }
.actions { display: flex; flex-wrap: wrap; gap: .5rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.icon { display: block; flex: none; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
.bar { display: block; margin: 0; background: var(--card); border-bottom: 1px solid var(--line); }
.bar > div { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: center; min-height: 3.75rem; margin: 0 auto; padding: .5rem 1rem; }
.bar .brand { display: flex; gap: .5rem; align-items: center; margin-right: auto; color: var(--ink); font-weight: 700; text-decoration: none; }
.bar .brand .icon { color: var(--accent); }
.bar nav { display: flex; gap: .25rem; }
.bar nav a { padding: .5rem .7rem; border-radius: 8px; color: var(--soft); font-size: .95rem; font-weight: 600; text-decoration: none; }
.bar nav a:hover { color: var(--ink); }
.bar nav a[aria-current] { background: var(--accent-paper); color: var(--accent); }
.notice { margin-bottom: 1.5rem; padding: .75rem 1rem; border: 1px solid color-mix(in srgb, var(--accent), transparent 65%); border-radius: 10px; background: var(--accent-paper); overflow-wrap: anywhere; }
.notice:focus { outline: none; }
.empty { margin: 1rem 0 0; padding: 1.25rem; border: 1px dashed var(--edge); border-radius: 10px; color: var(--soft); text-align: center; text-wrap: balance; }
.empty strong { display: block; color: var(--ink); }
.narrow { max-width: 26rem; margin-inline: auto; }
.column { flex-direction: column; align-items: stretch; gap: 1rem; }
.column label { flex: none; }
.hints { padding: .5rem 1.25rem; font-size: .9rem; }
.hints strong { color: var(--ink); }
section > header { align-items: center; margin-bottom: 1.25rem; }
section > header:last-child { margin-bottom: 0; }
section > header h2 { margin: 0; }
section > header .soft { font-size: .9rem; }
.device > .icon { box-sizing: content-box; padding: .5rem; border-radius: 10px; background: var(--paper); color: var(--soft); }
.device h3 { display: flex; flex-wrap: wrap; gap: 0 .6rem; align-items: center; }
.device .badge { margin: 0; }
ul.rows > .device > div { flex: 1 1 0; min-width: 0; overflow-wrap: anywhere; }
.meta { display: flex; flex-wrap: wrap; margin: .1rem 0 0; overflow: hidden; color: var(--soft); font-size: .9rem; }
.meta > span { position: relative; min-width: 0; margin-right: 1.2rem; }
.meta > span::before { content: "·"; position: absolute; left: -.75rem; }
.choice { gap: 0; }
.choice button { margin-left: -1px; border-radius: 0; font-weight: 500; }
.choice button:first-child { margin-left: 0; border-radius: 8px 0 0 8px; }
.choice button:last-child { border-radius: 0 8px 8px 0; }
.choice button[aria-pressed="true"] { position: relative; background: var(--accent-paper); border-color: var(--accent); color: var(--accent); font-weight: 700; }
.choice button:focus-visible { position: relative; z-index: 1; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { padding: .6rem 1rem .6rem 0; text-align: left; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
tbody tr:last-child > * { padding-bottom: 0; }
thead th { padding-top: 0; border-top: 0; color: var(--soft); font-size: .85rem; font-weight: 600; }
.tight { white-space: nowrap; }
td:last-child { padding-right: 0; }
td form { justify-content: flex-end; }
tbody th { min-width: 11rem; }
.pages { display: flex; gap: 1rem; justify-content: space-between; align-items: center; margin-top: 1rem; }
@media (max-width: 45rem) {
  main { padding-block: 1.5rem; }
  .bar nav { order: 1; flex-basis: 100%; margin-inline: -.7rem; }
  ul.rows > .device { align-items: start; }
  .device > form { flex-basis: 100%; padding-left: calc(40px + 1rem); }
  .meta > span { flex-basis: 100%; margin: 0; }
}
@media (max-width: 56rem) {
  .stack, .stack tbody, .stack tr, .stack th, .stack td { display: block; }
  .stack thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .stack tr { padding: 1rem 0; border-top: 1px solid var(--line); }
  .stack tr:first-child { padding-top: 0; border-top: 0; }
  .stack tr:last-child { padding-bottom: 0; }
  .stack th, .stack td { padding: 0; border: 0; }
  .stack th { font-size: 1rem; }
  .stack td { color: var(--soft); }
  .stack [data-label]::before { content: attr(data-label) " "; }
  .stack td form { justify-content: flex-start; margin-top: .6rem; }
}
`;

/** Formats how long ago a moment was, in words. */
export function ago(seconds) {
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} seconds ago`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes === 1 ? "a minute ago" : `${minutes} minutes ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return hours === 1 ? "an hour ago" : `${hours} hours ago`;
  return `${Math.floor(hours / 24)} days ago`;
}

/** Serves the app on PORT or 3000, only to this machine (set HOST=0.0.0.0 to serve all). */
export function listen(app, port = Number(process.env.PORT ?? 3000)) {
  const server = app.listen(port, process.env.HOST ?? "127.0.0.1");
  server.on("listening", () => console.log(`Open http://localhost:${server.address().port}`));
  server.on("error", (error) => {
    const taken = error.code === "EADDRINUSE";
    console.error(
      taken ? `Port ${port} is in use. Choose another by the variable PORT: PORT=${port + 10}` : error.message,
    );
    process.exit(1);
  });
}

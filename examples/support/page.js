// What the examples' pages share: a template that escapes, the style sheet, and the server that listens.
import escapeHtml from "escape-html";

class Html {
  constructor(text) {
    this.text = text;
  }
  toString() {
    return this.text;
  }
}

/** A template whose values are escaped, but for those that are templates themselves. */
export function html(strings, ...values) {
  const text = strings.map((part, i) => (i === 0 ? part : render(values[i - 1]) + part)).join("");
  return new Html(text);
}

function render(value) {
  if (Array.isArray(value)) return value.map(render).join("");
  if (value instanceof Html) return value.text;
  return value === undefined || value === null || value === false ? "" : escapeHtml(String(value));
}

export function page(title, body) {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${new Html(style)}</style>
</head>
<body><main>${body}</main></body>
</html>`.toString();
}

const style = `
:root {
  color-scheme: light dark;
  --ink: #1c2330; --soft: #5b6577; --paper: #f4f5f8; --card: #ffffff; --line: #dfe3ea;
  --accent: #2f5bd7; --on-accent: #ffffff; --danger: #b3261e; --good: #17693a; --good-paper: #e3f4e9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8ebf2; --soft: #a3adbf; --paper: #10141c; --card: #1a202b; --line: #2e3644;
    --accent: #8fb0ff; --on-accent: #0e1526; --danger: #ff9c94; --good: #8fdcab; --good-paper: #163325;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 44rem; margin: 0 auto; padding: 2.5rem 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 0 0 .75rem; }
p { margin: 0 0 1rem; }
.soft, small { color: var(--soft); }
header { display: flex; flex-wrap: wrap; gap: 1rem; justify-content: space-between; align-items: start; margin-bottom: 1.5rem; }
header p { margin: 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.25rem; margin-bottom: 1rem; }
form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin: 0; }
label { display: block; flex: 1 1 12rem; font-weight: 600; font-size: .9rem; }
input { width: 100%; margin-top: .25rem; padding: .55rem .7rem; font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: 8px; }
button, .button { padding: .55rem .9rem; font: inherit; font-weight: 600; border-radius: 8px; border: 1px solid var(--line); background: var(--card); color: var(--ink); cursor: pointer; text-decoration: none; }
button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button.danger { color: var(--danger); border-color: currentColor; }
button:hover, .button:hover { filter: brightness(.96); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
a { color: var(--accent); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: .75rem; margin: 0; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.2rem; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
ul.rows { list-style: none; margin: 0; padding: 0; }
ul.rows > li { display: flex; flex-wrap: wrap; gap: .5rem 1rem; justify-content: space-between; align-items: center; padding: .8rem 0; border-top: 1px solid var(--line); }
ul.rows > li:first-child { border-top: 0; padding-top: 0; }
ul.rows > li:last-child { padding-bottom: 0; }
ul.rows > li > div { flex: 1 1 14rem; min-width: 0; overflow-wrap: anywhere; }
.badge { display: inline-block; margin-left: .4rem; padding: .05rem .5rem; border-radius: 99px; background: var(--good-paper); color: var(--good); font-size: .8rem; font-weight: 600; }
.actions { display: flex; flex-wrap: wrap; gap: .5rem; }
`;

/** How long ago, in words. */
export function ago(seconds) {
  if (seconds < 60) return seconds < 5 ? "just now" : `${seconds} seconds ago`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes === 1 ? "a minute ago" : `${minutes} minutes ago`;
  const hours = Math.floor(minutes / 60);
  return hours === 1 ? "an hour ago" : `${hours} hours ago`;
}

/** Serves the app on PORT or 3000. */
export function listen(app) {
  const port = Number(process.env.PORT ?? 3000);
  const server = app.listen(port);
  server.on("listening", () => console.log(`Open http://localhost:${server.address().port}`));
  server.on("error", (error) => {
    const taken = error.code === "EADDRINUSE";
    console.error(taken ? `Port ${port} is in use. Choose another: PORT=${port + 1} npm run demo` : error.message);
    process.exit(1);
  });
}

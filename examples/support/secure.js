import { html, page } from "./page.js";

const HEADERS = {
  "Cache-Control": "no-store",
  "Content-Security-Policy":
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
};

/** Forbids frames, caching and scripts, and refuses forms from other origins. */
export function secure(req, res, next) {
  for (const [name, value] of Object.entries(HEADERS)) res.setHeader(name, value);
  // The cookie is SameSite=Lax, so forms of other sites are sent without it. This check also stops them at the login.
  const from = req.headers["sec-fetch-site"] ?? "same-origin";
  if (req.method !== "POST" || from === "same-origin" || from === "none") return next();
  res.writeHead(403, { "Content-Type": "text/html; charset=utf-8" });
  res.end(
    page(
      "This form came from elsewhere",
      html`<div class="narrow"><section><h1>This form came from elsewhere</h1><p class="soft">Please use the one on our own page.</p></section></div>`,
    ),
  );
}

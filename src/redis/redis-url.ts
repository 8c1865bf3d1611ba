/**
 * Parses a Redis or Valkey URL. Returns undefined if it is not one, if the database is not a number, or if the name or
 * password is not percent-encoded correctly.
 */
export function parseRedisUrl(text: string): URL | undefined {
  if (!/^(redis|valkey)s?:\/\/[^\s#]+$/i.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  try {
    decodeURIComponent(url.username + url.password);
  } catch {
    return undefined;
  }
  return url.hostname !== "" && /^\/?\d*$/.test(url.pathname) ? url : undefined;
}

/** Whether a text is the path of a Unix socket, plain or as a URL: `/path` or `unix:///path`, with options after a `?`. */
export function isSocketUrl(text: string): boolean {
  return /^(unix:\/\/)?\/[^\s#]+$/i.test(text);
}

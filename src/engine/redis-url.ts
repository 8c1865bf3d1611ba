/**
 * An address of Redis or Valkey, taken apart; undefined for a text that is none. The database, if any, is a number, and
 * what is special in a password is percent-encoded.
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

/** An address of Redis or Valkey, taken apart; undefined for a text that is none. The database, if any, is a number. */
export function parseRedisUrl(text: string): URL | undefined {
  if (!/^(redis|valkey)s?:\/\//i.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  return /^\/?\d*$/.test(url.pathname) ? url : undefined;
}

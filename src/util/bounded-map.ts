/** More than one process is busy with at a time, and less than would be a burden. */
const MAX_ENTRIES = 10_000;

/**
 * A map of what can be made anew: it forgets everything when it is full, so that nobody can make it grow for ever. Its
 * keys come from requests, so it keeps copies.
 */
export class BoundedMap<Value> extends Map<string, Value> {
  override set(key: string, value: Value): this {
    if (this.size >= MAX_ENTRIES) this.clear();
    return super.set(copyOf(key), value);
  }
}

/** A text by itself. What was cut out of another, such as a token out of a header, keeps all of that in memory (in V8). */
export function copyOf(text: string): string {
  return Buffer.from(text).toString();
}

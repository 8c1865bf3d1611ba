/** More entries than one process uses at a time, and few enough to keep in memory. */
const MAX_ENTRIES = 10_000;

/**
 * A cache whose values can be made again. It is emptied when it is full, because its keys come from requests and could
 * otherwise fill the memory. It stores copies of the keys, see `copyOf`.
 */
export class BoundedMap<Value> extends Map<string, Value> {
  override set(key: string, value: Value): this {
    if (this.size >= MAX_ENTRIES) this.clear();
    return super.set(copyOf(key), value);
  }
}

/** Copies a string. In V8 a slice, such as a token from a header, otherwise keeps the whole header in memory. */
export function copyOf(text: string): string {
  return Buffer.from(text).toString();
}

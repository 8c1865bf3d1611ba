/** Object → the codes of the warnings that were emitted about it. */
const warned = new WeakMap<object, Set<string>>();

/** Emits a process warning about an object, once for each object and code. */
export function warnOnce(about: object, code: string, message: string): void {
  const codes = warned.get(about) ?? new Set();
  warned.set(about, codes);
  if (codes.has(code)) return;
  codes.add(code);
  process.emitWarning(message, { type: "IoredisSessionsWarning", code });
}

/** Names the kind of a value for a message, such as "a string" or "a Redis client". Never reveals the value itself. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null || Number.isNaN(value)) return String(value);
  if (typeof value !== "object") return `a ${typeof value}`;
  return classOf(value) ?? "an object";
}

/** Names the class of an object. Returns undefined for an object that may hold options: `{}` or one without a prototype. */
export function classOf(object: object): string | undefined {
  if (Array.isArray(object)) return "an array";
  const has = (name: string) => typeof (object as Record<string, unknown>)[name] === "function";
  if (has("evalsha") || has("evalSha")) return "a Redis client";
  if (has("createSession") && has("killsoid")) return "a RedisStore";
  if (has("rotate") && has("killsoid")) return "an engine";
  if (has("then")) return "a promise";
  // The prototype's own: in data, `constructor` may be any value.
  const name: unknown = Object.getPrototypeOf(object)?.constructor?.name;
  if (typeof name !== "string" || name === "Object" || name === "") return undefined;
  if (name === "IncomingMessage") return "a request";
  return `${/^[AEIOU]/i.test(name) ? "an" : "a"} ${name}`;
}

/** Names the kind of a value for a message, such as "a string" or "a Redis client". Never reveals the value itself. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null || Number.isNaN(value)) return String(value);
  if (typeof value !== "object") return `a ${typeof value}`;
  return roleOf(value) ?? classOf(value) ?? "an object";
}

/** Names what an object is if it cannot be an object of options. Returns undefined for any other object. */
export function roleOf(object: object): string | undefined {
  if (Array.isArray(object)) return "an array";
  const { headers, url } = object as { headers?: unknown; url?: unknown };
  if (typeof headers === "object" && typeof url === "string") return "a request";
  const has = (name: string) => typeof (object as Record<string, unknown>)[name] === "function";
  if (has("evalsha") || has("evalSha")) return "a Redis client";
  if (has("createSession")) return "a store";
  if (has("killsoid")) return "an engine";
  if (has("addHook")) return "a Fastify app";
  if (has("then")) return "a promise";
  return undefined;
}

function classOf(object: object): string | undefined {
  // The prototype's own: in data, `constructor` may be any value.
  const name: unknown = Object.getPrototypeOf(object)?.constructor?.name;
  if (typeof name !== "string" || name === "Object" || name === "") return undefined;
  return `${/^[AEIOU]/i.test(name) ? "an" : "a"} ${name}`;
}

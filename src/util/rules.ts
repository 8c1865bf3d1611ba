import { closestMatch } from "leven";
import { invalidValue, type SessionError } from "../errors.js";
import { kindOf, nameOf, roleOf } from "./kind-of.js";

/** What takes options, and what a message about wrong ones can say. */
export interface OptionsOwner {
  /** Begins the message: "kill". */
  readonly name: string;
  /** The right call: "kill({ app, token })". */
  readonly call?: string;
  /** Names that are options of something else → a sentence that says where they belong. */
  readonly elsewhere?: { readonly [option: string]: string };
}

/**
 * Checks options when something is constructed. A misspelt option would otherwise be ignored silently, and its default
 * would apply in production.
 *
 * @param owner what is being constructed, for the message
 * @param rules one rule for each option
 * @throws SessionError `invalidValue` that names the option, and for an unknown one the option that was probably meant
 */
export function checkOptions<Options extends object>(
  owner: string | OptionsOwner,
  options: Options,
  rules: { readonly [Name in keyof Required<Options>]: Rule },
): void {
  checkNames(owner, options, Object.keys(rules));
  for (const [name, { be, test, isText = false }] of Object.entries<Rule>(rules)) {
    const value = (options as Record<string, unknown>)[name];
    if (value !== undefined && !test(value)) {
      const isDigits = typeof value === "string" && /^\d+$/.test(value) && test(Number(value));
      const isSaid = isText && typeof value === "string";
      const hint = isDigits ? "it is a string: pass Number(…)" : isSaid ? undefined : `it is ${nameOf(value)}`;
      throw invalidValue(`${toOwner(owner).name}: ${name} must be ${be}`, hint);
    }
  }
}

/**
 * Checks that all options have known names.
 *
 * @param owner what takes the options, for the message
 * @param allowed the names of the options
 * @param ignored names that are allowed but are not suggested in messages
 * @returns whether there are ignored names among them
 * @throws SessionError `invalidValue` if `options` is not an object, and for an unknown option; the message names the
 * option that was probably meant
 */
export function checkNames(
  owner: string | OptionsOwner,
  options: object,
  allowed: readonly string[],
  ignored: readonly string[] = [],
): boolean {
  if (typeof options !== "object" || options === null) throw notOptions(owner, options);
  let hasIgnored = false;
  for (const option of Object.keys(options)) {
    if (allowed.includes(option)) continue;
    if (ignored.includes(option)) {
      hasIgnored = true;
      continue;
    }
    if (roleOf(options) !== undefined) throw notOptions(owner, options);
    const { name, elsewhere = {} } = toOwner(owner);
    const meant = meantBy(option, allowed);
    const inData = allowed.includes("d") ? " Values of the session belong in d" : "";
    const listed =
      meant === undefined ? `It takes ${allowed.join(", ") || "none"}.${inData}` : `Did you mean "${meant}"?`;
    const help = Object.hasOwn(elsewhere, option) ? elsewhere[option] : listed;
    // Do not quote a name of another form: it may be a secret in the wrong place.
    const which = /^(\w{1,15}|[A-Za-z_]{16,24})$/.test(option) ? `option "${option}"` : "such option";
    throw invalidValue(`${name} has no ${which}. ${help}`);
  }
  return hasIgnored;
}

/** What other packages call our options. */
const OTHER_NAMES: { readonly [option: string]: readonly string[] } = {
  id: ["user", "userId", "uid"],
  d: ["data"],
  token: ["sid"],
  client: ["redis", "redisClient"],
  secret: ["keys"],
  authorize: ["keys", "key", "apiKey", "apiKeys"],
};

/** Returns the option that was probably meant: another name of it, or the most similar name. */
function meantBy(option: string, allowed: readonly string[]): string | undefined {
  const isSame = (name: string) => name.toLowerCase() === option.toLowerCase();
  return (
    allowed.find((name) => isSame(name) || OTHER_NAMES[name]?.includes(option)) ??
    closestMatch(option, allowed, { maxDistance: Math.min(3, Math.ceil(option.length / 3)) })
  );
}

/** @throws SessionError `invalidValue` if a value cannot be an object of options: a string, a function, a Redis client … */
export function assertOptions(owner: OptionsOwner, options: unknown): asserts options is object {
  if (typeof options !== "object" || options === null || roleOf(options) !== undefined)
    throw notOptions(owner, options);
}

/** The error for a value in the place of the options. Names only the value's kind, because it may be a token. */
function notOptions(owner: string | OptionsOwner, value: unknown): SessionError {
  const { name, call } = toOwner(owner);
  return invalidValue(
    `${name} takes an object of options, not ${kindOf(value)}${call === undefined ? "" : `: ${call}`}`,
  );
}

function toOwner(owner: string | OptionsOwner): OptionsOwner {
  return typeof owner === "string" ? { name: owner } : owner;
}

/** Refuses an argument of a method without parameters: the caller must have meant something else. */
export function refuseArgument(name: string, given: unknown, remedy: string): void {
  if (given !== undefined) throw invalidValue(`${name} takes no argument, not ${kindOf(given)}: ${remedy}`);
}

/** What the value of one option must be. */
export interface Rule {
  /** Completes the message "<option> must be …". */
  be: string;
  test: (value: unknown) => boolean;
  /** Whether a value is a string. A message about a wrong string then does not say that it is one. */
  isText?: boolean;
}

export const aBoolean: Rule = { be: "true or false", test: (value) => typeof value === "boolean" };

export const aFunction: Rule = { be: "a function", test: (value) => typeof value === "function" };

export const anObject: Rule = { be: "an object", test: (value) => typeof value === "object" && value !== null };

/** Something with an interface of its own, such as a client. A later check looks at what it can do. */
export function anObjectOf(be: string): Rule {
  return { ...anObject, be };
}

/** A string that matches a pattern. */
export function textLike(be: string, pattern: RegExp): Rule {
  return { be, test: (value) => typeof value === "string" && pattern.test(value), isText: true };
}

export function anInteger(min: number, max = Number.MAX_SAFE_INTEGER): Rule {
  return {
    be: max === Number.MAX_SAFE_INTEGER ? `an integer >= ${min}` : `an integer from ${min} to ${max}`,
    test: (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
  };
}

export function oneOf(...values: readonly (string | boolean)[]): Rule {
  return {
    be: values.map((value) => JSON.stringify(value)).join(" or "),
    test: (value) => values.includes(value as string),
    isText: values.some((value) => typeof value === "string"),
  };
}

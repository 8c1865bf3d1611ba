import { closestMatch } from "leven";
import { invalidValue } from "../errors.js";

/**
 * Checks options when something is constructed: a misspelt option would otherwise be ignored in silence, and its
 * default take effect in production.
 *
 * @param owner what is being constructed, for the message
 * @param rules for each known option what it must be, and the test for it
 * @throws SessionError `invalidValue` that names the option, and for an unknown one the option that was meant
 */
export function checkOptions<Options extends object>(
  owner: string,
  options: Options,
  rules: { readonly [Name in keyof Required<Options>]: Rule },
): void {
  checkNames(owner, options, Object.keys(rules));
  for (const [name, { be, test }] of Object.entries<Rule>(rules)) {
    const value = (options as Record<string, unknown>)[name];
    if (value !== undefined && !test(value)) throw invalidValue(`${owner}: ${name} must be ${be}`);
  }
}

/**
 * @param ignored names that may be there, but are no options
 * @throws SessionError `invalidValue` for what is no object, and for an option that is not known; it names the one that
 * was meant
 */
export function checkNames(
  owner: string,
  options: object,
  known: readonly string[],
  ignored: readonly string[] = [],
): void {
  if (typeof options !== "object" || options === null) throw invalidValue(`${owner} takes an object of options`);
  for (const name of Object.keys(options)) {
    if (known.includes(name) || ignored.includes(name)) continue;
    const meant = closestMatch(name, known, { maxDistance: Math.min(3, Math.ceil(name.length / 3)) });
    const help = meant === undefined ? `It takes ${known.join(", ") || "none"}.` : `Did you mean "${meant}"?`;
    // Anything else may be a secret that stands in the wrong place.
    const which = /^(\w{1,15}|[A-Za-z_]{16,24})$/.test(name) ? `option "${name}"` : "such option";
    throw invalidValue(`${owner} has no ${which}. ${help}`);
  }
}

export interface Rule {
  /** Completes "… must be …". */
  be: string;
  test: (value: unknown) => boolean;
}

export const aBoolean: Rule = { be: "true or false", test: (value) => typeof value === "boolean" };

export const aFunction: Rule = { be: "a function", test: (value) => typeof value === "function" };

export const anObject: Rule = { be: "an object", test: (value) => typeof value === "object" && value !== null };

export const aString: Rule = { be: "a string", test: (value) => typeof value === "string" && value !== "" };

/** A text that matches a pattern. */
export function textLike(be: string, pattern: RegExp): Rule {
  return { be, test: (value) => typeof value === "string" && pattern.test(value) };
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
  };
}

import { closestMatch } from "leven";
import { invalidValue } from "../errors.js";

/**
 * Checks options when something is constructed. A misspelt option would otherwise be ignored silently, and its default
 * would apply in production.
 *
 * @param owner what is being constructed, for the message
 * @param rules one rule for each option
 * @throws SessionError `invalidValue` that names the option, and for an unknown one the option that was probably meant
 */
export function checkOptions<Options extends object>(
  owner: string,
  options: Options,
  rules: { readonly [Name in keyof Required<Options>]: Rule },
): void {
  checkNames(owner, options, Object.keys(rules));
  for (const [name, { be, test }] of Object.entries<Rule>(rules)) {
    const value = (options as Record<string, unknown>)[name];
    if (value !== undefined && !test(value)) {
      const isDigits = typeof value === "string" && /^\d+$/.test(value) && test(Number(value));
      throw invalidValue(`${owner}: ${name} must be ${be}`, isDigits ? "it is a string: pass Number(…)" : undefined);
    }
  }
}

/**
 * Checks that all options have known names.
 *
 * @param owner what takes the options, for the message
 * @param allowed the names of the options
 * @param ignored names that are allowed but are not suggested in messages
 * @throws SessionError `invalidValue` if `options` is not an object, and for an unknown option; the message names the
 * option that was probably meant
 */
export function checkNames(
  owner: string,
  options: object,
  allowed: readonly string[],
  ignored: readonly string[] = [],
): void {
  if (typeof options !== "object" || options === null) throw invalidValue(`${owner} takes an object of options`);
  for (const name of Object.keys(options)) {
    if (allowed.includes(name) || ignored.includes(name)) continue;
    const meant = closestMatch(name, allowed, { maxDistance: Math.min(3, Math.ceil(name.length / 3)) });
    const help = meant === undefined ? `It takes ${allowed.join(", ") || "none"}.` : `Did you mean "${meant}"?`;
    // Do not quote a name of another form: it may be a secret in the wrong place.
    const which = /^(\w{1,15}|[A-Za-z_]{16,24})$/.test(name) ? `option "${name}"` : "such option";
    throw invalidValue(`${owner} has no ${which}. ${help}`);
  }
}

/** What the value of one option must be. */
export interface Rule {
  /** Completes the message "<option> must be …". */
  be: string;
  test: (value: unknown) => boolean;
}

export const aBoolean: Rule = { be: "true or false", test: (value) => typeof value === "boolean" };

export const aFunction: Rule = { be: "a function", test: (value) => typeof value === "function" };

export const anObject: Rule = { be: "an object", test: (value) => typeof value === "object" && value !== null };

export const aString: Rule = { be: "a string", test: (value) => typeof value === "string" && value !== "" };

/** A string that matches a pattern. */
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

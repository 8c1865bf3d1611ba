/** How long a span may be in each unit, and the unit's length, in seconds. */
const UNITS = [
  [60, 1, "second"],
  [3600, 60, "minute"],
  [48 * 3600, 3600, "hour"],
  [Number.POSITIVE_INFINITY, 86_400, "day"],
] as const;

/** Writes numbers and times in one language. Created once, because to create an Intl object takes longer than to use it. */
export class Formats {
  readonly #lang: string;
  readonly #number: Intl.NumberFormat;
  readonly #percent: Intl.NumberFormat;
  readonly #ago: Intl.RelativeTimeFormat;
  readonly #moment: Intl.DateTimeFormat;
  readonly #clock: Intl.DateTimeFormat;

  /** @throws RangeError if `lang` is not a language tag */
  constructor(lang: string) {
    this.#lang = lang;
    this.#number = new Intl.NumberFormat(lang);
    this.#percent = new Intl.NumberFormat(lang, { style: "percent" });
    this.#ago = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
    this.#clock = new Intl.DateTimeFormat(lang, { timeStyle: "medium", timeZone: "UTC" });
    this.#moment = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });
  }

  number(value: number): string {
    return this.#number.format(value);
  }

  percent(share: number): string {
    return this.#percent.format(share);
  }

  /** A span of time: "2 hours". */
  span(seconds: number): string {
    const [length, unit] = unitOf(seconds);
    const style = { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 1 } as const;
    return new Intl.NumberFormat(this.#lang, style).format(seconds / length);
  }

  /** A time in the past: "2 minutes ago". */
  ago(seconds: number): string {
    const [length, unit] = unitOf(seconds);
    return this.#ago.format(-Math.floor(seconds / length), unit);
  }

  /** The time of day, in UTC. */
  clock(date: Date): string {
    return `${this.#clock.format(date)} UTC`;
  }

  /** Date and time, in UTC. */
  utc(date: Date): string {
    return `${this.#moment.format(date)} UTC`;
  }
}

function unitOf(seconds: number): readonly [length: number, unit: "second" | "minute" | "hour" | "day"] {
  const [, length, unit] = UNITS.find(([limit]) => seconds < limit) ?? UNITS[3];
  return [length, unit];
}

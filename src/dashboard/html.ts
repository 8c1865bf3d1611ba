/** Markup. Only `html` creates it, so whatever it contains is escaped. */
class Html {
  readonly #markup: string;

  constructor(markup: string) {
    this.#markup = markup;
  }

  toString(): string {
    return this.#markup;
  }
}

/** What a template may contain. Undefined, null and false become nothing. */
export type Content = string | number | Html | false | null | undefined | readonly Content[];

export type { Html };

/** A template tag that escapes all values, except for values that are templates. An array becomes its items, one after another. */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(strings.map((part, i) => (i === 0 ? part : render(values[i - 1]) + part)).join(""));
}

function render(content: Content): string {
  if (content === undefined || content === null || content === false) return "";
  if (content instanceof Html) return content.toString();
  if (typeof content === "object") return content.map(render).join("");
  return String(content)
    .toWellFormed()
    .replace(/[&<>"']/g, entityOf);
}

function entityOf(character: string): string {
  return `&#${character.charCodeAt(0)};`;
}

import type { DashboardTexts } from "./texts.js";

/** Ends the work on a request with a page that says why. */
export class Refusal extends Error {
  readonly status: number;
  readonly heading: keyof DashboardTexts;
  readonly note: keyof DashboardTexts;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    heading: keyof DashboardTexts,
    note: keyof DashboardTexts,
    headers: Record<string, string> = {},
  ) {
    super(heading);
    this.status = status;
    this.heading = heading;
    this.note = note;
    this.headers = headers;
  }
}

export function notFound(): Refusal {
  return new Refusal(404, "notFound", "notFoundNote");
}

export function formExpired(): Refusal {
  return new Refusal(403, "formExpired", "formExpiredNote");
}

export function notAllowed(note: "notAllowedNote" | "notAllowedRole"): Refusal {
  return new Refusal(403, "notAllowed", note);
}

export function sessionGone(): Refusal {
  return new Refusal(404, "sessionGone", "sessionGoneNote");
}

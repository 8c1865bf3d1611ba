import { expect } from "vitest";
import type { Answer } from "./api.js";

export interface Problem {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  hint?: string;
}

/** Checks an answer against the format of all errors. */
export function expectProblem(answer: Answer, status: number, code: string, detail?: string | RegExp): void {
  const { hint } = answer.body as Problem;
  expect(answer.status).toBe(status);
  expect(answer.headers["content-type"]).toMatch(/^application\/problem\+json/);
  expect(answer.headers["cache-control"]).toBe("no-store");
  expect(answer.body).toEqual({
    type: "about:blank",
    title: expect.stringMatching(/^[A-Z][a-zA-Z ]+$/),
    status,
    code,
    detail: detail === undefined ? expect.any(String) : expect.stringMatching(detail),
    // Only errors about bad input may have a hint.
    ...(status === 400 && hint !== undefined && { hint: expect.stringMatching(/./) }),
  });
}

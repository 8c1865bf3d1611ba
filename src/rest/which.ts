import { invalidFormat } from "../engine/errors.js";
import type { Which } from "../engine/types.js";
import { checkApp, isRef, isToken } from "../engine/validate.js";

/** The session that a text names, by its token or by its ref. @throws SessionError `invalidFormat` when it is neither */
export function whichOf(app: string, text: string): Which {
  if (isRef(text)) return { app, ref: text };
  if (text !== "" && !isToken(text)) {
    // The engine looks at the app first.
    checkApp(app);
    throw invalidFormat(
      "token",
      "64 of A-Z a-z 0-9; or a ref: 27 of A-Z a-z 0-9 _ -, or the ref of a RedisStore session: ~ and its id",
    );
  }
  return { app, token: text };
}

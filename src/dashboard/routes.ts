import type { ServerResponse } from "node:http";
import { isRef } from "../engine/checks.js";
import { quoteId } from "../sessions/keys.js";
import type { StoredSession } from "../sessions/session-text.js";
import { end } from "./actions.js";
import type { Form } from "./form.js";
import type { Content, Html } from "./html.js";
import { streamEvents } from "./live.js";
import { appList } from "./pages/app-list.js";
import { type Ending, endPage } from "./pages/end.js";
import { overview } from "./pages/overview.js";
import { sessionPage, showsData } from "./pages/session.js";
import { sessionList } from "./pages/session-list.js";
import { userPage } from "./pages/user.js";
import { formExpired, notAllowed, notFound, sessionGone } from "./refusal.js";
import type { Visit } from "./visit.js";

/** What answers a request: a page, the relative URL of the page to go to, or the events. Those are undefined without events. */
export type Answer =
  | { readonly page: Html }
  | { readonly to: string }
  | { readonly stream: ((res: ServerResponse) => void) | undefined };

const MAX_REASON = 500;

/**
 * Answers a request below the mount path.
 * @param segments the parts of the path: the app, the kind of page, its subject, and "end" for the form that ends sessions
 * @param form the fields of a POST, whose token was checked; undefined for a GET
 * @throws Refusal if there is no such page, or the person's role does not allow it
 */
export async function answer(visit: Visit, segments: readonly string[], form: Form | undefined): Promise<Answer> {
  const { options, app, root } = visit;
  if (segments.length === 1 && app === "") {
    return options.apps.length > 1 ? { page: appList(visit) } : { to: `${root}${options.apps[0]}/` };
  }
  if (!options.apps.includes(app)) throw notFound();
  // Without the slash at the end, the relative links of the page would be wrong.
  if (segments.length === 1) return { to: `${root}${app}/` };

  if (segments.at(-1) === "events" && form === undefined) return { stream: eventsOf(visit, segments) };
  const ending = await endingOf(visit, segments);
  if (ending !== undefined) return form === undefined ? { page: endPage(visit, ending) } : submit(visit, ending, form);
  const [, kind, name] = segments;
  if (kind === "user" && name === undefined && form !== undefined) return search(visit, form);
  if (form !== undefined || segments.length > 3) throw notFound();
  if (name === undefined) {
    if (kind === "") return { page: await overview(visit, noticeOf(visit)) };
    if (kind === "sessions") return { page: await sessionList(visit) };
  } else {
    if (kind === "user") return { page: await userPage(visit, userOf(visit, name), noticeOf(visit)) };
    if (kind === "session") return { page: sessionPage(visit, await sessionOf(visit, name)) };
  }
  throw notFound();
}

/** The events of the app, or of a user. Undefined if the engine has none. @throws Refusal 404 */
function eventsOf(visit: Visit, segments: readonly string[]): ((res: ServerResponse) => void) | undefined {
  const [, kind, name = ""] = segments;
  const isOfUser = kind === "user" && segments.length === 4;
  if (!isOfUser && segments.length !== 2) throw notFound();
  const user = isOfUser ? userOf(visit, name) : undefined;
  return visit.eventsUrl() === undefined ? undefined : (res) => streamEvents(visit, res, user);
}

/** Leads to the page of a user, or to that of a session if the text is the ref of one. */
async function search(visit: Visit, { id = "" }: Form): Promise<Answer> {
  const text = id.trim();
  if (text === "" || text.length > 128 || !text.isWellFormed()) throw notFound();
  const { index } = visit.sessions;
  // An id may look like a ref.
  const isUser = !isRef(text) || (await index.headersOfUser(quoteId(text), { offset: 0, limit: 1 })).total > 0;
  return { to: isUser || (await index.header(text)) === null ? visit.userUrl(text) : visit.sessionUrl(text) };
}

/** Returns the id in the URL of a user's page. @throws Refusal 404 if it was sealed for another browser */
function userOf({ keyring }: Visit, sealed: string): string {
  const id = keyring.open("user", sealed);
  if (id === undefined) throw notFound();
  return id;
}

/** Returns the session in the URL of its page. Reads its data only if `withData` is true. @throws Refusal 404 */
async function sessionOf(visit: Visit, name: string, withData = showsData(visit)): Promise<StoredSession> {
  const ref = isRef(name) ? name : visit.keyring.open("session", name);
  if (ref === undefined) throw notFound();
  const { sessions } = visit;
  const found = await (withData ? sessions.get(ref, false) : sessions.index.header(ref));
  if (found === null) throw sessionGone();
  return found;
}

/**
 * Returns what the form at this URL ends. Returns undefined if the URL is not that of a form.
 * @throws Refusal 403 if the person's role does not allow it, 404 if the session does not exist
 */
async function endingOf(visit: Visit, segments: readonly string[]): Promise<Ending | undefined> {
  const [app, kind, name = "", verb] = segments;
  const { texts } = visit;
  if (kind === "end" && segments.length === 2) {
    if (!visit.may("admin")) throw notAllowed("notAllowedRole");
    return {
      target: { action: "killall" },
      heading: visit.text("endAppOf", { app }),
      note: texts.endAppNote,
      back: visit.url(""),
    };
  }
  if (verb !== "end" || segments.length !== 4 || (kind !== "user" && kind !== "session")) return undefined;
  if (!visit.may("support")) throw notAllowed("notAllowedRole");
  if (kind === "user") {
    const id = userOf(visit, name);
    return {
      target: { action: "killsoid", id },
      heading: visit.text("endAllOf", { id }),
      note: texts.endAllNote,
      back: visit.userUrl(id),
    };
  }
  const { id, ref } = visit.show(await sessionOf(visit, name, false));
  const whose = id === "" ? {} : { id };
  return {
    target: { action: "kill", ...whose, ref },
    heading: texts.endSession,
    note: visit.text("endSessionNote", { id: id === "" ? texts.anonymous : id }),
    back: id === "" ? visit.url("sessions") : visit.userUrl(id),
  };
}

/** Ends the sessions of a form, unless the form is incomplete. */
async function submit(visit: Visit, ending: Ending, form: Form): Promise<Answer> {
  const { app, options, keyring } = visit;
  const reason = (form.reason ?? "").trim().slice(0, MAX_REASON);
  // The browser requires the reason, so this is no form of ours.
  if (options.onAction !== undefined && reason === "") throw formExpired();
  if (ending.target.action === "killall" && form.confirm?.trim() !== app) {
    return { page: endPage(visit, ending, visit.text("typeAppWrong", { app })) };
  }
  const { ended, isLogged } = await end(visit, ending.target, reason);
  return { to: `${ending.back}?notice=${keyring.seal("notice", `${ended} ${isLogged}`)}` };
}

/** What the person did on the page before. It is sealed, so nobody can make a link that tells of something else. */
function noticeOf(visit: Visit): Content {
  const [ended, isLogged] = visit.keyring.open("notice", visit.query.get("notice") ?? "")?.split(" ") ?? [];
  if (ended === undefined) return undefined;
  const { texts } = visit;
  const result = ended === "0" ? texts.endedNone : visit.text("ended", { count: visit.formats.number(Number(ended)) });
  return [result, isLogged === "false" && [" ", texts.notLogged]];
}

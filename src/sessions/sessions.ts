import type { AppSessions } from "./app-sessions.js";
import type { SessionIndex } from "./session-index.js";

/** Lists, counts and ends an app's sessions, whether it has one shard or more. */
export type Sessions = Pick<
  AppSessions,
  | "areTogether"
  | "confirm"
  | "create"
  | "createReplacing"
  | "currentRef"
  | "endMark"
  | "find"
  | "findCached"
  | "get"
  | "getCached"
  | "ifCheckPasses"
  | "increment"
  | "isRecentlyGone"
  | "kill"
  | "replace"
  | "rotateRef"
  | "rotateToken"
  | "set"
  | "setAll"
  | "stageIfLarge"
  | "takeCached"
  | "takeOver"
  | "touch"
  | "update"
  | "wouldTakeOver"
> & { readonly index: SessionLists };

/** The index of an app, whether it has one shard or more. */
export type SessionLists = Pick<
  SessionIndex,
  | "active"
  | "activeHeaders"
  | "activePages"
  | "announceLegacy"
  | "count"
  | "countSessions"
  | "countUsers"
  | "header"
  | "headersOfUser"
  | "isEmpty"
  | "killAll"
  | "killUser"
  | "ofUser"
  | "pages"
  | "reach"
  | "refs"
  | "wipe"
  | "wipeExpired"
>;

import type { IncomingMessage } from "node:http";
import type { RedisSessions } from "../engine/engine.js";
import type { Killed } from "../types.js";
import { describeError } from "../util/describe-error.js";
import type { DashboardAction, DashboardOptions } from "./options.js";
import { isPublic, type Visit } from "./visit.js";

/** The sessions to end: those of a `DashboardAction`. */
export type Target = Pick<DashboardAction, "action" | "id" | "ref">;

export interface Ended {
  readonly ended: number;
  /** Whether the audit log was written, if there is one. */
  readonly isLogged: boolean;
}

/** Ends sessions, and writes it to the audit log, also if Redis fails midway. */
export async function end(visit: Visit, target: Target, reason: string): Promise<Ended> {
  let ended: number | null = null;
  let isLogged = false;
  try {
    ended = (await kill(visit, target)).kill;
  } finally {
    const { ref, ...others } = target;
    const session = ref === undefined || !isPublic(ref) ? {} : { ref };
    isLogged = await log(visit, { actor: visit.person.actor, app: visit.app, ...others, ...session, reason, ended });
  }
  return { ended, isLogged };
}

function kill({ options, app }: Visit, { action, id, ref }: Target): Promise<Killed> {
  // An AnyRedisSessions is an instance of this class. These methods do not depend on the type of the data.
  const rs = options.rs as RedisSessions;
  if (action === "killall") return rs.killall({ app });
  return action === "killsoid" ? rs.killsoid({ app, id: id as string }) : rs.kill({ app, ref: ref as string });
}

async function log({ options, req }: Visit, action: DashboardAction): Promise<boolean> {
  try {
    await options.onAction?.(action, req);
    return true;
  } catch (error) {
    report(options, error, req);
    return false;
  }
}

/** Passes an error to `onError`. If `onError` itself fails, its error is printed: it must not end the process. */
export function report({ onError = print }: DashboardOptions, error: unknown, req: IncomingMessage): void {
  new Promise<void>((resolve) => resolve(onError(error, req))).catch(print);
}

function print(error: unknown): void {
  console.error(`ioredis-sessions/dashboard: ${describeError(error)}`);
}

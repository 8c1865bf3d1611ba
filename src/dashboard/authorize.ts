import type { IncomingMessage } from "node:http";
import { checkActor } from "../engine/checks.js";
import { isOutage, type SessionError } from "../errors.js";
import { isPlainObject } from "../util/objects.js";
import { report } from "./actions.js";
import type { DashboardAuthorize, DashboardGrant, DashboardOptions } from "./options.js";
import { notAllowed } from "./refusal.js";
import type { Person } from "./visit.js";

/**
 * Asks `authorize` who sent a request.
 * @throws Refusal 403 if `authorize` refuses the request, or fails; SessionError if it fails because Redis cannot be reached;
 * TypeError if it returns something else than a grant, which is a bug of the server
 */
export async function personOf(options: DashboardOptions, req: IncomingMessage): Promise<Person> {
  const grant = await ask(options, req);
  // A function in JavaScript may return anything.
  if (!grant) throw notAllowed("notAllowedNote");
  if (!isPlainObject(grant) || !["viewer", "support", "admin"].includes(grant.role)) {
    throw new TypeError('authorize must return null or { role: "viewer", "support" or "admin", actor }');
  }
  return { role: grant.role, actor: actorOf(grant), ref: grant.ref };
}

async function ask(options: DashboardOptions, req: IncomingMessage): Promise<Awaited<ReturnType<DashboardAuthorize>>> {
  try {
    return await options.authorize(req);
  } catch (error) {
    if (isOutage(error)) throw error;
    report(options, error, req);
    throw notAllowed("notAllowedNote");
  }
}

function actorOf({ actor }: DashboardGrant): string {
  try {
    const checked = checkActor(actor);
    if (checked !== undefined) return checked;
  } catch (error) {
    throw new TypeError(`authorize must return the person's id as actor: ${(error as SessionError).hint}`);
  }
  throw new TypeError("authorize must return the person's id as actor: it is missing");
}

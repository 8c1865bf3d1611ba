import type { Redis } from "ioredis";

/** Ends the grace of rotated tokens, as if its time had passed. Late requests with them may still arrive. */
export async function endGrace(db: Redis, ...refs: string[]): Promise<void> {
  for (const ref of refs) {
    const key = `rs:{webapp}:s:${ref}`;
    if ((await db.get(key))?.startsWith(">")) await db.del(key);
  }
}

/** Lets so much time pass that no request with these rotated tokens is on its way any more. */
export async function longAfter(db: Redis, ...refs: string[]): Promise<void> {
  await endGrace(db, ...refs);
  if (refs.length > 0) await db.del(...refs.map((ref) => `rs:{webapp}:rotated:${ref}`));
}

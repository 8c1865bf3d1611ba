import type { RedisSessions } from "../engine/engine.js";
import { internalsOf } from "../engine/internals.js";
import type { Resharded, ReshardProgress } from "../sessions/reshard.js";
import type { ShardCount } from "../types.js";
import { count } from "./print.js";
import { Progress, stopSignal } from "./progress.js";

export interface ReshardFlags {
  to: ShardCount;
  dryRun?: boolean;
  /** Seconds to wait until all processes know; for tests. */
  wait: number;
}

/** Moves an app to another number of shards until all its sessions are there, or a signal arrives. */
export async function reshard(rs: RedisSessions, app: string, flags: ReshardFlags): Promise<Resharded> {
  const { to, dryRun = false, wait } = flags;
  const progress = new Progress();
  let isWaiting = false;
  try {
    return await internalsOf(rs).reshard(app, {
      to,
      dryRun,
      wait: wait * 1000,
      signal: stopSignal(),
      onProgress: (at) => {
        isWaiting = at.waiting > 0;
        progress.show(inWords(at));
      },
    });
  } catch (error) {
    if (!isWaiting) progress.fail("run the command again to go on");
    throw error;
  } finally {
    progress.end();
  }
}

/** The result in words. */
export function summary(
  app: string,
  { from, to, moved, complete, waiting, calledOff }: Resharded,
  { dryRun = false }: ReshardFlags,
): string {
  const sessions = count(moved, "session");
  const shards = `${app} has ${count(to, "shard")}`;
  if (calledOff !== undefined)
    return `${shards}: the move to ${count(calledOff, "shard")} ${dryRun ? "would be" : "was"} called off`;
  if (dryRun) return `${app} has ${count(from, "shard")}: ${sessions} would be moved`;
  if (waiting) {
    const remedy = `run the command again, and it waits again from the beginning; or call the move off with --to ${from}`;
    return `no session moved yet\nstopped: ${remedy}`;
  }
  if (!complete) return `${sessions} moved\nstopped: run the command again to go on`;
  if (from !== to) return `${shards} now: ${sessions} moved`;
  return moved === 0 ? shards : `${shards}: ${sessions} moved`;
}

function inWords({ waiting, moved, left }: ReshardProgress): string {
  if (waiting > 0) return `waiting ${Math.ceil(waiting / 1000)} s until all processes know`;
  return `${moved} moved, about ${left} left`;
}

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
  try {
    return await internalsOf(rs).reshard(app, {
      to,
      dryRun,
      wait: wait * 1000,
      signal: stopSignal(),
      onProgress: (at) => progress.show(inWords(at)),
    });
  } catch (error) {
    progress.fail("run the command again to go on");
    throw error;
  } finally {
    progress.end();
  }
}

/** The result in words. */
export function summary(
  app: string,
  { from, to, moved, complete }: Resharded,
  { dryRun = false }: ReshardFlags,
): string {
  const sessions = count(moved, "session");
  if (dryRun) return `${app} has ${count(from, "shard")}: ${sessions} would be moved`;
  if (!complete) return `${sessions} moved\nstopped: run the command again to go on`;
  if (from === to) return `${app} has ${count(to, "shard")}`;
  return `${app} has ${count(to, "shard")} now: ${sessions} moved`;
}

function inWords({ waiting, moved, left }: ReshardProgress): string {
  if (waiting > 0) return `waiting ${Math.ceil(waiting / 1000)} s until all processes know`;
  return `${moved} moved, about ${left} left`;
}

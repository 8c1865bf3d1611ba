import type { Redis } from "ioredis";
import { internalsOf } from "../../src/engine/internals.js";
import type { RedisSessions } from "../../src/index.js";

/**
 * Waits until an engine has got all announcements of a channel so far.
 * @param db publishes a marker, which comes after them
 */
export function heardSoFar(rs: RedisSessions, db: Redis, channel: string): Promise<void> {
  const { subscriber } = internalsOf(rs).connection;
  const marker = `0\nmarker\n${Math.random()}\n\n`;
  return new Promise((resolve) => {
    const subscription = subscriber.subscribe(channel, {
      onMessage(message) {
        if (message !== marker) return;
        subscription.close();
        resolve();
      },
      onEstablished: () => void db.publish(channel, marker),
    });
  });
}

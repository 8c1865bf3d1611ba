import { invalidValue } from "./errors.js";
import { aBoolean, anInteger, anObject, checkOptions, LATER, text } from "./options.js";
import type { RedisSessionsOptions } from "./types.js";

/** @throws SessionError `invalidValue` for a misspelt or bad option; it names the right one */
export function checkEngineOptions(options: RedisSessionsOptions): void {
  checkOptions("RedisSessions", options, {
    client: anObject,
    port: anInteger(0, 65535),
    host: text,
    options: anObject,
    namespace: {
      be: "a string without { and }",
      test: (value) => typeof value === "string" && /^[^{}]+$/.test(value),
    },
    wipe: { be: "0 or an integer >= 10", test: (value) => value === 0 || anInteger(10).test(value) },
    timeout: anInteger(1),
    nested: aBoolean,
    maxBytes: anInteger(1),
    cachetime: LATER,
    cachemax: LATER,
    shards: LATER,
  });
  if ("client" in options && options.client === undefined) {
    throw invalidValue("RedisSessions: client is undefined. Leave it out to open a connection to port and host");
  }
  if (options.client !== undefined && (options.port ?? options.host ?? options.options) !== undefined) {
    throw invalidValue("RedisSessions takes a client, or port, host and options to open one, but not both");
  }
}

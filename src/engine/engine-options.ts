import { invalidValue } from "../errors.js";
import type { RedisSessionsOptions } from "../types.js";
import { aBoolean, anInteger, anObject, aString, checkOptions, textLike } from "../util/rules.js";

/** The longest that a timer of Node can wait, ms. One that is told to wait longer does not wait at all. */
const MAX_TIMER = 2 ** 31 - 1;

/** @throws SessionError `invalidValue` for a misspelt or bad option; it names the right one */
export function checkEngineOptions(options: RedisSessionsOptions): void {
  checkOptions("RedisSessions", options, {
    client: anObject,
    port: anInteger(0, 65535),
    host: aString,
    options: anObject,
    namespace: textLike("a string without { and }", /^[^{}]+$/),
    wipe: { be: "0 or an integer >= 10", test: (value) => value === 0 || anInteger(10).test(value) },
    timeout: anInteger(1),
    nested: aBoolean,
    maxBytes: anInteger(1),
    maxKeys: anInteger(1),
  });
  const { wipe = 0, timeout = 0 } = options;
  if (wipe * 1000 > MAX_TIMER || timeout > MAX_TIMER) {
    throw invalidValue("RedisSessions: wipe (seconds) and timeout (milliseconds) must be less than 24.8 days");
  }
  if ("client" in options && options.client === undefined) {
    throw invalidValue("RedisSessions: client is undefined. Leave it out to open a connection to port and host");
  }
  if (options.client !== undefined && (options.port ?? options.host ?? options.options) !== undefined) {
    throw invalidValue("RedisSessions takes a client, or port, host and options to open one, but not both");
  }
}

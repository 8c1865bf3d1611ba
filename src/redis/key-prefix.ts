import { invalidValue } from "../errors.js";

/**
 * Checks the key prefix of a client that the user passed.
 * @throws SessionError `invalidValue` if it would spread an app's keys over a Cluster
 */
export function checkKeyPrefix(prefix = ""): void {
  if (prefix.indexOf("{}") !== -1 && prefix.indexOf("{}") === prefix.indexOf("{")) {
    throw invalidValue('the client\'s keyPrefix must not contain "{}": it disables the hash tag of all keys');
  }
}

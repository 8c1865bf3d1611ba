import type { IncomingMessage } from "node:http";
import Bowser from "bowser";

/** How much of a User-Agent is read, in characters. Real ones are shorter, and to parse 16 KB takes a millisecond. */
const LONGEST_AGENT = 512;

/** What the user signs in with, in words ("Firefox on Windows"), from the User-Agent; undefined when it says nothing. */
export function deviceOf(req: IncomingMessage): string | undefined {
  const agent = req.headers["user-agent"]?.slice(0, LONGEST_AGENT);
  if (agent === undefined || agent === "") return undefined;
  const { browser, os } = Bowser.parse(agent);
  // A program names itself first: "curl/8.1".
  const name = browser.name || /^[^\s/(;]+/.exec(agent)?.[0];
  if (name === undefined) return os.name;
  return os.name === undefined ? name : `${name} on ${os.name}`;
}

import { setTimeout as sleep } from "node:timers/promises";
import type { Serializer } from "../../../src/express-session/index.js";

/** Encrypts letters, slowly, like a cipher that fetches its keys. */
export const rot13: Serializer = {
  async stringify(data) {
    await sleep(1);
    return turn(JSON.stringify(data));
  },
  async parse(text) {
    await sleep(1);
    return JSON.parse(turn(text));
  },
};

function turn(text: string): string {
  return text.replace(/[a-z]/gi, (letter) => {
    const [code, base] = [letter.charCodeAt(0), letter < "a" ? 65 : 97];
    return String.fromCharCode(((code - base + 13) % 26) + base);
  });
}

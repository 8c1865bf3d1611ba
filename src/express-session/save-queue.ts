import type { Connection } from "../redis/connection.js";
import { KeyedQueue } from "../util/keyed-queue.js";
import { SERIALIZER_LATE } from "./serializer.js";

/**
 * Sends the calls for a session in the order in which they were made. A call waits only if the text of an earlier one is
 * not ready, since a serializer or the staging of a large text takes its time.
 */
export class SaveQueue {
  readonly #connection: Connection;
  /** Sessions, by ref, with a call whose text is not ready. */
  readonly #waiting = new KeyedQueue();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Sends a text when it is ready, and all earlier calls for the session have been sent. */
  add<Reply>(ref: string, text: string | Promise<string>, send: (text: string) => Promise<Reply>): Promise<Reply> {
    if (typeof text === "string") {
      if (!this.#waiting.has(ref)) return send(text);
    } else {
      // The text may fail while an earlier call is waited for. That must not be an unhandled rejection.
      text.catch(() => {});
    }
    return this.#waiting.run(ref, () => this.#sendInTime(text, send)).then(({ reply }) => reply);
  }

  /**
   * Fails if the serializer takes too long. Returns the reply in an object, because the next call may go when this one is
   * sent, not when it is answered.
   */
  #sendInTime<Reply>(text: string | Promise<string>, send: (text: string) => Promise<Reply>) {
    const deadline = this.#connection.deadline();
    const sending = async () => {
      const ready = await text;
      this.#connection.assertInTime(deadline);
      return { reply: send(ready) };
    };
    return this.#connection.within(deadline, sending, SERIALIZER_LATE);
  }
}

import type { Connection } from "../redis/connection.js";
import { KeyedQueue } from "../util/keyed-queue.js";
import { SERIALIZER_LATE } from "./changes.js";

/**
 * Sends what concerns a session in the order in which it was asked for: at once, but where a serializer takes its time
 * over a text.
 */
export class SaveQueue {
  readonly #connection: Connection;
  /** Of sessions, by ref, for which a text is not ready yet. */
  readonly #turns = new KeyedQueue();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Sends a text when it is ready, and all has been sent that was asked for before. */
  add<Reply>(ref: string, text: string | Promise<string>, send: (text: string) => Promise<Reply>): Promise<Reply> {
    if (typeof text === "string") {
      if (!this.#turns.has(ref)) return send(text);
    } else {
      // It may fail before it is waited for.
      text.catch(() => {});
    }
    return this.#turns.run(ref, () => this.#sendInTime(text, send)).then(({ reply }) => reply);
  }

  /**
   * Gives up where the serializer takes too long. Gives the reply within an object: a turn is over when it is sent, not
   * when it is answered.
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

import type { Connection } from "../redis/connection.js";
import { KeyedQueue } from "../util/keyed-queue.js";
import { SERIALIZER_LATE } from "./serializer.js";

/**
 * Sends the calls for a session in the order in which they were made. A call waits only if the text of an earlier one is
 * not ready, since a serializer or the staging of a large text takes its time, or if an earlier one may be sent again.
 */
export class SaveQueue {
  readonly #connection: Connection;
  /** Sessions, by ref, with a call that later ones must not overtake. */
  readonly #waiting = new KeyedQueue();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Sends a text when it is ready, and all earlier calls for the session have been sent.
   * @param maySendAgain whether `send` may send the call again after its first reply. Later calls then wait for the last reply
   */
  add<Reply>(
    ref: string,
    text: string | Promise<string>,
    send: (text: string) => Promise<Reply>,
    maySendAgain = false,
  ): Promise<Reply> {
    if (typeof text === "string") {
      if (!maySendAgain && !this.#waiting.has(ref)) return send(text);
    } else {
      // The text may fail while an earlier call is waited for. That must not be an unhandled rejection.
      text.catch(() => {});
    }
    const task = async () => {
      const sent = await this.#sendInTime(text, send);
      if (maySendAgain) await sent.reply.catch(() => {});
      return sent;
    };
    return this.#waiting.run(ref, task).then(({ reply }) => reply);
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

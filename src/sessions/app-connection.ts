import type { Connection } from "../redis/connection.js";

/** The connection as the classes of this folder use it. */
export type AppConnection = Pick<Connection, "run" | "command" | "within" | "assertInTime" | "deadline">;

/** Makes a call that changes these sessions. */
export type WriteSessions = <Result>(refs: readonly string[], call: () => Promise<Result>) => Promise<Result>;

/** Passes each call that changes sessions through a function. */
export class WatchedConnection implements AppConnection {
  readonly #connection: AppConnection;
  readonly #write: WriteSessions;
  readonly command: AppConnection["command"];
  readonly within: AppConnection["within"];
  readonly assertInTime: AppConnection["assertInTime"];
  readonly deadline: AppConnection["deadline"];

  constructor(connection: Connection, write: WriteSessions) {
    this.#connection = connection;
    this.#write = write;
    this.command = connection.command.bind(connection);
    this.within = connection.within.bind(connection);
    this.assertInTime = connection.assertInTime.bind(connection);
    this.deadline = connection.deadline.bind(connection);
  }

  readonly run: AppConnection["run"] = (operation, keys, input, deadline) => {
    const call = () => this.#connection.run(operation, keys, input, deadline);
    return operation.changes === undefined ? call() : this.#write(operation.changes(input), call);
  };
}

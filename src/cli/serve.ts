import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { internalsOf } from "../engine/internals.js";
import { invalidValue } from "../errors.js";
import type { AppOptions } from "./app.js";
import { logRedis } from "./log.js";
import { isLoopback } from "./loopback.js";

export interface ServeOptions extends Omit<AppOptions, "isEnding"> {
  port: number;
  host: string;
}

/** How long the server waits for requests in flight when it shuts down, in ms. */
const DRAIN = 10_000;

/**
 * How long idle connections stay open when the server shuts down, in ms. A request in that time is still answered, with
 * `Connection: close`.
 */
const LINGER = 500;

/** Serves the REST interface until SIGTERM or SIGINT. */
export async function serve({ port, host, ...options }: ServeOptions): Promise<void> {
  const { keys } = options;
  if (keys.length === 0 && !isLoopback(host)) {
    throw invalidValue(
      `Without an API key, the server does not listen on ${host}, which other machines can reach`,
      "set --key-file or RS_API_KEYS, or listen on 127.0.0.1",
    );
  }
  let ending = false;
  const { createApp } = await importApp();
  const server = createServer(createApp({ ...options, isEnding: () => ending })).listen(port, host);
  const answering = new Set<ServerResponse>();
  server.on("request", (_req, res) => {
    answering.add(res);
    res.once("close", () => answering.delete(res));
  });
  await listening(server, port);
  const { port: bound } = server.address() as AddressInfo;
  console.log(`ioredis-sessions serves on http://${host.includes(":") ? `[${host}]` : host}:${bound}`);
  if (keys.length === 0)
    console.log("No API key is needed: everybody who can reach this address may use all sessions.");

  const stopLog = options.log ? logRedis(internalsOf(options.rs).connection.client) : undefined;

  await Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
  ending = true;
  stopLog?.();
  // A kept-alive connection would wait for another request after its response.
  for (const res of answering) if (!res.headersSent) res.setHeader("Connection", "close");
  console.log("Finishing the requests in flight");
  await drain(server);
}

/** @throws Error if the server cannot listen. If the port is in use, the message suggests another. */
async function listening(server: Server, port: number): Promise<void> {
  try {
    await once(server, "listening");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EADDRINUSE") throw error;
    throw new Error(`${message}. Choose another port: --port ${port < 65_000 ? port + 10 : port - 10}`);
  }
}

function drain(server: Server): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(() => server.close(() => resolve()), LINGER);
    setTimeout(() => server.closeAllConnections(), DRAIN).unref();
  });
}

/** Imports the app only when it is served, because express is an optional peer dependency. */
async function importApp(): Promise<typeof import("./app.js")> {
  try {
    return await import("./app.js");
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new Error("serve needs express: npm install express");
  }
}

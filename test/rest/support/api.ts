import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  request,
  type Server,
  type ServerOptions,
} from "node:http";
import type { AddressInfo } from "node:net";
import express, { type RequestHandler } from "express";
import { afterEach } from "vitest";
import type { Created } from "../../../src/index.js";
import { type RestOptions, rest } from "../../../src/rest/index.js";
import { type TestEngine, useEngine } from "../../support/engine.js";

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The parsed text if the content type is JSON. */
  body: unknown;
}

export interface Ask {
  /** An object is sent as JSON, a string or bytes unchanged. */
  body?: unknown;
  headers?: OutgoingHttpHeaders;
}

/** The REST interface on its own server. */
export class Api {
  readonly server: Server;
  readonly port: number;
  readonly #mount: string;

  constructor(server: Server, mount: string) {
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
    this.#mount = mount;
  }

  /** Sends a request. The path is sent unchanged, unlike with fetch. */
  async call(method: string, path: string, { body, headers = {} }: Ask = {}): Promise<Answer> {
    const json = body !== undefined && typeof body !== "string" && !Buffer.isBuffer(body);
    const bytes = json ? JSON.stringify(body) : (body as string | Buffer | undefined);
    const type = json ? { "Content-Type": "application/json" } : {};
    // Node's client sends a length only with POST.
    const length =
      bytes === undefined || "Transfer-Encoding" in headers ? {} : { "Content-Length": Buffer.byteLength(bytes) };
    const sent = request({
      host: "127.0.0.1",
      port: this.port,
      method,
      path: this.#mount + path,
      headers: { ...type, ...length, ...headers },
    });
    sent.end(bytes);
    const [answer] = await once(sent, "response");
    answer.setEncoding("utf8");
    let text = "";
    for await (const part of answer) text += part;
    const isJson = /json/.test(`${answer.headers["content-type"]}`) && text !== "";
    return { status: answer.statusCode, headers: answer.headers, text, body: isJson ? JSON.parse(text) : undefined };
  }

  get(path: string, ask?: Ask): Promise<Answer> {
    return this.call("GET", path, ask);
  }

  /** Creates a session through the interface. Default: for alice in "webapp". */
  async create(path = "/webapp/create/alice?ip=127.0.0.1", ask?: Ask): Promise<Created> {
    return (await this.call("PUT", path, ask)).body as Created;
  }
}

export interface ApiOptions extends Partial<RestOptions> {
  /** The mount path. Default: the root. */
  mount?: string;
  /** Middleware that runs before the interface. */
  use?: RequestHandler;
  http?: ServerOptions;
}

/** The shared state of a test file: one Redis that is emptied before each test, and a new engine for each test. */
export interface TestApi extends Pick<TestEngine, "redis" | "db" | "rs"> {
  /** Opens the interface, and closes it after the test. Default: `authorize: false`. */
  open(options?: ApiOptions): Promise<Api>;
}

/** Call it at the top of a test file. `vi.mock` selects the version of Express. */
export function useApi({ timeout = 2000, nested = false } = {}): TestApi {
  const t = useEngine({ timeout, nested });
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  return {
    get redis() {
      return t.redis;
    },
    get db() {
      return t.db;
    },
    get rs() {
      return t.rs;
    },
    async open({ mount = "", use, http = {}, ...options } = {}) {
      const app = express();
      // Express prints errors that reach its last handler. There must be none.
      app.set("env", "test");
      if (use !== undefined) app.use(use);
      // Hide expected errors from the output of the test, unless it passes `onError`.
      const router = rest({ rs: t.rs, authorize: false, onError: () => {}, ...options });
      app.use(mount === "" ? "/" : mount, router);
      const server = createServer(http, app).listen(0, "127.0.0.1");
      await once(server, "listening");
      closing.push(async () => {
        server.closeAllConnections();
        server.close();
        await once(server, "close");
      });
      return new Api(server, mount);
    },
  };
}

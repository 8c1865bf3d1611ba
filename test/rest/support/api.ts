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
  /** The text as JSON, where it says that it is. */
  body: unknown;
}

export interface Ask {
  /** Sent as JSON, unless it is a text or bytes. */
  body?: unknown;
  headers?: OutgoingHttpHeaders;
}

/** The interface on a server of its own. */
export class Api {
  readonly server: Server;
  readonly port: number;
  readonly #mount: string;

  constructor(server: Server, mount: string) {
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
    this.#mount = mount;
  }

  /** Sends a request. The path goes out as it is, which fetch would not do. */
  async call(method: string, path: string, { body, headers = {} }: Ask = {}): Promise<Answer> {
    const json = body !== undefined && typeof body !== "string" && !Buffer.isBuffer(body);
    const bytes = json ? JSON.stringify(body) : (body as string | Buffer | undefined);
    const type = json ? { "Content-Type": "application/json" } : {};
    // Node's client says the length of a POST only.
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

  /** Creates a session by the interface, of alice in "webapp" unless told otherwise. */
  async create(path = "/webapp/create/alice?ip=127.0.0.1", ask?: Ask): Promise<Created> {
    return (await this.call("PUT", path, ask)).body as Created;
  }
}

export interface ApiOptions extends Partial<RestOptions> {
  /** The path that it is mounted at. Default: the root. */
  mount?: string;
  /** What requests go through before. */
  use?: RequestHandler;
  http?: ServerOptions;
}

/** What the tests of one file share: one Redis, emptied before each test, and a new engine for each. */
export interface TestApi extends Pick<TestEngine, "redis" | "db" | "rs"> {
  /** Opens the interface, to everybody unless told otherwise; it is closed after the test. */
  open(options?: ApiOptions): Promise<Api>;
}

/** Call it at the top of a test file. `vi.mock` decides which Express it is. */
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
      // Express prints what reaches its last handler: nothing should.
      app.set("env", "test");
      if (use !== undefined) app.use(use);
      // What a test provokes is not for its output, unless it asks.
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

import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** A handler that listens on a free port. */
export interface Served {
  readonly url: string;
  readonly server: Server;
  close(): Promise<void>;
}

export async function serve(handler: RequestListener): Promise<Served> {
  const server = createServer(handler).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

interface Cookie {
  value: string;
  expires: number;
}

/** Stores cookies and sends them until they expire, as a browser does. */
export class Browser {
  readonly #url: string;
  readonly #jar = new Map<string, Cookie>();

  constructor(url: string) {
    this.#url = url;
  }

  /** Fetches a page and stores the cookies of the response. */
  async get(path: string): Promise<Answer> {
    const response = await fetch(this.#url + path, { headers: { cookie: this.cookies }, redirect: "manual" });
    for (const line of response.headers.getSetCookie()) this.#take(line);
    const text = await response.text();
    const json = response.headers.get("content-type")?.includes("json") ?? false;
    return {
      status: response.status,
      cookies: response.headers.getSetCookie(),
      text,
      body: json ? JSON.parse(text) : {},
    };
  }

  /** The header Cookie. */
  get cookies(): string {
    const now = Date.now();
    // The date of a cookie is rounded down to a second.
    const live = [...this.#jar].filter(([, { expires }]) => expires + 1000 > now);
    return live.map(([name, { value }]) => `${name}=${value}`).join("; ");
  }

  /** The id in the cookie of express-session or @fastify/session; "" without a cookie. */
  get sid(): string {
    const [, value = ""] = /=(?:s%3A)?([^;]+)/.exec(this.cookies) ?? [];
    return decodeURIComponent(value).replace(/\.[^.]*$/, "");
  }

  /** Another browser with a copy of the cookies: a thief, or a browser of a second app. */
  copy(url = this.#url): Browser {
    const other = new Browser(url);
    for (const [name, cookie] of this.#jar) other.#jar.set(name, cookie);
    return other;
  }

  #take(line: string): void {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    const expires = /; *expires=([^;]+)/i.exec(line)?.[1];
    this.#jar.set(name, { value, expires: expires === undefined ? Number.POSITIVE_INFINITY : Date.parse(expires) });
  }
}

export interface Answer {
  status: number;
  /** The Set-Cookie headers. */
  cookies: string[];
  text: string;
  /** The body as JSON; {} if it is not JSON. */
  body: Record<string, unknown>;
}

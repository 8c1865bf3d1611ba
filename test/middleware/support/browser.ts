import { type IncomingHttpHeaders, request as overHttp } from "node:http";
import { request as overHttps } from "node:https";
import { text } from "node:stream/consumers";

interface Cookie {
  value: string;
  expires: number;
  secure: boolean;
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  /** The values of the Set-Cookie headers. */
  cookies: string[];
  text: string;
  /** The parsed JSON of the response, or undefined if it is not JSON. */
  body: unknown;
}

/** Stores cookies and sends them again, as a browser does. Follows no redirects. */
export class Browser {
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #jar = new Map<string, Cookie>();

  /** @param headers sent with each request */
  constructor(url: string, headers: Record<string, string> = {}) {
    this.#url = url;
    this.#headers = headers;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#send("GET", path, headers);
  }

  post(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#send("POST", path, headers);
  }

  /** The Cookie header that it sends. */
  get cookies(): string {
    const secure = this.#url.startsWith("https:");
    const live = [...this.#jar].filter(([, cookie]) => cookie.expires > Date.now() && (secure || !cookie.secure));
    return live.map(([name, { value }]) => `${name}=${value}`).join("; ");
  }

  /** The token in its cookie, or undefined if it has none. */
  get token(): string | undefined {
    return /(?:^|; )[\w-]+=([A-Za-z0-9]{64})\./.exec(this.cookies)?.[1];
  }

  /** Stores a cookie that no response has set, as an attacker could. */
  plant(name: string, value: string): this {
    this.#jar.set(name, { value, expires: Number.POSITIVE_INFINITY, secure: false });
    return this;
  }

  /** Returns a new browser with a copy of the current cookies. */
  copy(): Browser {
    const other = new Browser(this.#url, this.#headers);
    for (const [name, cookie] of this.#jar) other.#jar.set(name, cookie);
    return other;
  }

  async #send(method: string, path: string, headers: Record<string, string>): Promise<Answer> {
    const cookie = this.cookies === "" ? {} : { cookie: this.cookies };
    const all = { ...cookie, ...this.#headers, ...headers };
    const response = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
      // Keep no connection alive: the next site may listen on the same port while an old TLS socket still looks open.
      const options = { method, headers: all, rejectUnauthorized: false, agent: false };
      const send = this.#url.startsWith("https:") ? overHttps : overHttp;
      send(this.#url + path, options, resolve)
        .on("error", reject)
        .end();
    });
    const content = await text(response);
    const cookies = response.headers["set-cookie"] ?? [];
    for (const line of cookies) this.#take(line);
    const json = response.headers["content-type"]?.includes("json") ?? false;
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      cookies,
      text: content,
      body: json ? JSON.parse(content) : undefined,
    };
  }

  #take(line: string): void {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    const maxAge = /; *max-age=(-?\d+)/i.exec(line)?.[1];
    const expires = maxAge === undefined ? Number.POSITIVE_INFINITY : Date.now() + Number(maxAge) * 1000;
    this.#jar.set(name, { value, expires, secure: /; *secure/i.test(line) });
  }
}

/** Parses a Set-Cookie header: its value as "value", its attributes by their names. */
export function parts(line: string | undefined): Record<string, string | true> {
  const [pair = "", ...attributes] = (line ?? "").split(/; */);
  const found: Record<string, string | true> = { value: pair.replace(/^[^=]*=/, "") };
  for (const attribute of attributes) {
    const [name = "", value] = attribute.split("=");
    found[name] = value ?? true;
  }
  return found;
}

import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach } from "vitest";
import {
  type DashboardAction,
  type DashboardOptions,
  type DashboardRole,
  dashboard,
} from "../../../src/dashboard/index.js";
import type { TestEngine } from "../../support/engine.js";

const MOUNT = "/admin/sessions";

/** A person's browser without scripts. It keeps its cookies, and the token of the last page's forms. */
export interface Visitor {
  get(path?: string): Promise<Page>;
  /** Sends a form. The token of the last page is added, unless the fields contain one. */
  post(path: string, fields?: Record<string, string>, headers?: Record<string, string>): Promise<Page>;
  /** Searches a user. Returns the page that the search leads to. */
  find(text: string, app?: string): Promise<Page>;
}

export interface Page {
  readonly status: number;
  readonly headers: Headers;
  readonly html: string;
  /** The text without markup, with single spaces. */
  readonly text: string;
  /** The path of the page below the mount path, after redirects. */
  readonly path: string;
  /** The target of the first link or form whose markup contains this text, as a path below the mount path. */
  link(text: string): string;
}

/** What the dashboard has told the app. */
export interface Told {
  readonly actions: DashboardAction[];
  readonly errors: unknown[];
}

/** A running dashboard. */
export interface Running extends Told {
  /** The URL of the dashboard, without a slash at the end. */
  readonly url: string;
  visitor(role?: DashboardRole | "none", headers?: Record<string, string>): Visitor;
}

/** Takes the role and the actor from headers, as an app would take them from its session. */
export function authorize(req: IncomingMessage): { role: DashboardRole; actor: string } | null {
  const role = req.headers["x-role"] as DashboardRole | "none" | undefined;
  return role === undefined || role === "none" ? null : { role, actor: String(req.headers["x-actor"] ?? "dana") };
}

/** Call it at the top of a test file. Returns a function that starts a dashboard, which is stopped after the test. */
export function useDashboards(t: TestEngine): (options?: Partial<DashboardOptions>, mount?: Mount) => Promise<Running> {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });
  return async (options = {}, mount = mountPlain) => {
    const told: Told = { actions: [], errors: [] };
    const handler = dashboard({
      rs: t.rs,
      apps: ["webapp"],
      authorize,
      onAction: (action) => void told.actions.push(action),
      onError: (error) => void told.errors.push(error),
      ...options,
    });
    const server = createServer(mount(handler, MOUNT)).listen(0, "127.0.0.1");
    servers.push(server);
    await once(server, "listening");
    const url = `http://localhost:${(server.address() as AddressInfo).port}${MOUNT}`;
    return { ...told, url, visitor: (role = "admin", headers = {}) => visitorOf(url, { "x-role": role, ...headers }) };
  };
}

/** Mounts a dashboard at a path. */
export type Mount = (handler: ReturnType<typeof dashboard>, path: string) => RequestListener;

/** What Express and Connect do, with node:http alone. */
const mountPlain: Mount = (handler, path) => (req, res) => {
  Object.assign(req, { originalUrl: req.url });
  req.url = req.url?.slice(path.length) || "/";
  handler(req, res);
};

function visitorOf(base: string, fixed: Record<string, string>): Visitor {
  const cookies = new Map<string, string>();
  let token = "";

  async function visit(url: URL, init: RequestInit): Promise<Page> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = { ...fixed, ...(cookie !== "" && { cookie }), ...(init.headers as Record<string, string>) };
    const response = await fetch(url, { ...init, redirect: "manual", headers });
    for (const set of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
      cookies.set(name, value);
    }
    const to = response.headers.get("location");
    if (to !== null) return visit(new URL(to, url), {});
    const html = await response.text();
    token = /name="token" value="([^"]+)"/.exec(html)?.[1] ?? token;
    const text = unescaped(html.replace(/<(title|svg)[\s\S]*?<\/\1>|<[^>]*>/g, " ")).replace(/\s+/g, " ");
    const path_ = below(base, url);
    return { status: response.status, headers: response.headers, html, text, path: path_, link };

    function link(wanted: string): string {
      const found = [...html.matchAll(/<a [^>]*href="([^"]*)"[^>]*>([\s\S]*?)<\/a>/g)].find(
        ([all, , inner = ""]) => all.includes(wanted) || inner.includes(wanted),
      );
      if (found === undefined) throw new Error(`${path_} has no link with ${wanted}`);
      return below(base, new URL(unescaped(found[1] as string), url));
    }
  }

  const at = (path: string) => new URL(path === "" ? base : `${base}/${path}`);

  const visitor: Visitor = {
    get: (path = "") => visit(at(path), {}),
    post: (path, fields = {}, headers = {}) =>
      visit(at(path), { method: "POST", body: new URLSearchParams({ token, ...fields }), headers }),
    async find(text, app = "webapp") {
      await visitor.get(`${app}/`);
      return visitor.post(`${app}/user`, { id: text });
    },
  };
  return visitor;
}

/** The path and query of a URL below the mount path. */
function below(base: string, url: URL): string {
  const { pathname, origin } = new URL(base);
  if (url.origin !== origin || !url.pathname.startsWith(pathname)) throw new Error(`${url} is not below ${base}`);
  return url.pathname.slice(pathname.length + 1) + url.search;
}

function unescaped(text: string): string {
  return text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
}

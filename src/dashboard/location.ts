import type { IncomingMessage } from "node:http";

/** Where a request goes, below the path under which the dashboard is mounted. */
export interface Location {
  /** The decoded parts of the path: `["webapp", "user", "…"]`. The last one is empty if the path ends with a slash. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  /** The relative URL of the dashboard. Links are relative, so they work behind a proxy that changes the path. */
  readonly root: string;
  /** The relative URL to redirect to, if the slash at the end of the mount path is missing. */
  readonly redirect: string | undefined;
}

/** Express and Connect cut the mount path off `url`, and keep it in `originalUrl`. */
export function locate(req: IncomingMessage): Location {
  const url = req.url ?? "/";
  const [path = "/", ...query] = url.split("?");
  const [original = "/"] = ((req as { originalUrl?: string }).originalUrl ?? url).split("?");
  const segments = path.split("/").slice(1).map(decode);
  const hasNoSlash = path === "/" && !original.endsWith("/");
  return {
    segments,
    query: new URLSearchParams(query.join("?")),
    root: segments.length <= 1 ? "./" : "../".repeat(segments.length - 1),
    redirect: hasNoSlash ? `./${original.slice(original.lastIndexOf("/") + 1)}/` : undefined,
  };
}

/** Decodes a part of a path. A malformed one names nothing. */
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return "\ufffd";
  }
}

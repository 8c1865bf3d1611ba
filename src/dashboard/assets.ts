import type { ServerResponse } from "node:http";
import { ASSETS } from "./assets/index.js";

export type AssetFile = keyof typeof ASSETS;

/** The name under which a file is served. It contains a hash of the file, so browsers may keep it for ever. */
export function assetName(file: AssetFile): string {
  return ASSETS[file].name;
}

/** Sends a file. Returns false if there is none of that name, for example because it is of another version. */
export function sendAsset(res: ServerResponse, name: string): boolean {
  const asset = Object.values(ASSETS).find((one) => one.name === name);
  if (asset === undefined) return false;
  res.setHeader("Cache-Control", "public, max-age=31536000, immutable");
  res.setHeader("Content-Type", asset.type);
  res.end(asset.body);
  return true;
}

import { type Browser, chromium } from "playwright-core";
import { needProgram } from "./packages.js";

/** Starts a real Chromium: Debian's, or the one whose path is in CHROMIUM. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (process.env.CHROMIUM === undefined) {
    await needProgram(
      executablePath,
      "chromium",
      "The browser test needs Chromium: apt install chromium, or the path of a Chrome or Chromium in CHROMIUM",
    );
  }
  return await chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

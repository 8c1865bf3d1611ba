import { type Browser, chromium } from "playwright-core";
import { needProgram } from "./packages.js";

/** Starts Chromium. Uses the path in CHROMIUM if it is set, otherwise Debian's. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (process.env.CHROMIUM === undefined) {
    await needProgram(
      executablePath,
      "chromium",
      "The browser test needs Chromium. Run apt install chromium, or set CHROMIUM to the path of Chrome or Chromium",
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

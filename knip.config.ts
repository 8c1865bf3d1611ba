import type { KnipConfig } from "knip";

/** The pages' code imports packages, too: of each page keep the import lines, the hidden code's included. */
function importsOf(page: string): string {
  return (page.match(/^[+ ]?import\s[^;`]*;$/gm) ?? []).map((line) => line.replace(/^[+ ]/, "")).join("\n");
}

const config: KnipConfig = {
  entry: [
    "src/index.ts!",
    "src/middleware/index.ts!",
    "src/express-session/index.ts!",
    "src/rest/index.ts!",
    "src/dashboard/index.ts!",
    "src/dashboard/assets/dashboard.js",
    "src/cli/main.ts!",
    "examples/*.js",
    "examples/rest/*.js",
    "test/consumers/projects/**",
    "test/support/page-scene.js",
    "test/engine/support/cached-reader.js",
    "test/express-session/support/app-on-connect-redis.js",
    "docs/**/*.md",
  ],
  project: ["src/**!", "examples/**/*.js", "test/**", "docs/**/*.md"],
  compilers: { md: importsOf },
  // The suite of redis-sessions, which is run as text, requires it.
  ignoreDependencies: ["should"],
  ignoreBinaries: ["redis-server", "apt-get"],
  ignoreExportsUsedInFile: true,
};

export default config;

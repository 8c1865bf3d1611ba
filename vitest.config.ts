import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    globalSetup: "test/support/setup.ts",
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    coverage: {
      // .ci/run sets COVERAGE, so that its one run of the tests also measures; `npm run coverage` needs no variable.
      enabled: process.env.COVERAGE === "1",
      include: ["src/**/*.ts"],
      // Generated.
      exclude: ["src/lua/index.ts"],
      reporter: ["text", "json-summary"],
      // A little below what was measured. Programs that tests start as processes of their own are not counted.
      thresholds: { statements: 95, branches: 95, functions: 95, lines: 95 },
    },
  },
});

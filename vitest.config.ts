import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    globalSetup: "test/support/setup.ts",
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    coverage: { include: ["src/**/*.ts"], exclude: ["src/lua/index.ts"] },
  },
});

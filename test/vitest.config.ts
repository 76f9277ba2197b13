/**
 * Two projects: `fast` runs in parallel and needs nothing but the sources; `e2e` spawns the built gateway,
 * one file at a time, because two cores carry the gateway, the fake upstream and the test itself.
 */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const root = fileURLToPath(new URL("..", import.meta.url));

export default defineConfig({
  root,
  test: {
    passWithNoTests: true,
    projects: [
      {
        root,
        test: {
          name: "fast",
          environment: "node",
          include: [
            "test/unit/**/*.test.ts",
            "test/golden/**/*.test.ts",
            "test/architecture*.test.ts",
            "test/docs.test.ts",
          ],
          testTimeout: 20_000,
        },
      },
      {
        root,
        test: {
          name: "e2e",
          environment: "node",
          include: ["test/e2e/**/*.test.ts"],
          fileParallelism: false,
          maxConcurrency: 1,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});

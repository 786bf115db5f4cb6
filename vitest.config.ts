import { defineConfig } from "vitest/config";

const source = {
  resolve: { conditions: ["source"] },
  ssr: { resolve: { conditions: ["source"] } },
};

export default defineConfig({
  test: {
    pool: "forks",
    projects: [
      {
        ...source,
        test: {
          name: "unit",
          setupFiles: ["test/support/properties.ts"],
          // Files share a process: what they import is read once. None leaves anything behind.
          isolate: false,
          include: ["test/unit/**/*.test.ts", "test/sim/**/*.test.ts"],
        },
      },
      {
        ...source,
        test: {
          name: "root",
          include: [
            "test/kernel/**/*.test.ts",
            "test/interop/**/*.test.ts",
            "test/lab/**/*.test.ts",
            "test/model/**/*.test.ts",
          ],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});

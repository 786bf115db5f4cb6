import { expect, test } from "vitest";
import { soak } from "../soak/migration/soak.ts";

// A short one. `npm run soak -- migration` is the long one, by these variables.
const {
  SOAK_MOVES = "200",
  SOAK_SEED = "1",
  SOAK_VNICS = "16",
  SOAK_VNS = "3",
  SOAK_QUIET_EVERY = "100",
  SOAK_FAULT_EVERY = "15",
} = process.env;

test(
  "H19, H24, V1, V2: VNICs that move to and fro among faults leave claims, tags, maps and flood lists exactly as they should be, and everybody reaches everybody",
  async () => {
    const report = await soak(
      {
        moves: Number(SOAK_MOVES),
        vnics: Number(SOAK_VNICS),
        vns: Number(SOAK_VNS),
        seed: Number(SOAK_SEED),
        quietEvery: Number(SOAK_QUIET_EVERY),
        faultEvery: Number(SOAK_FAULT_EVERY),
        settleMs: 120_000,
      },
      (line) => process.stdout.write(`${line}\n`),
    );
    const { usage, ...rest } = report;
    process.stdout.write(`${JSON.stringify(rest, null, 2)}\n`);
    for (const [node, { fds, rssMb }] of Object.entries(usage))
      process.stdout.write(`${node}: ${fds.join(" > ")} files, ${rssMb.join(" > ")} MiB\n`);
    expect(report.moves).toBeGreaterThanOrEqual(Number(SOAK_MOVES));
  },
  24 * 3_600_000,
);

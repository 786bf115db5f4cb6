/** Of all that is random in a run of tests, 0 … 999,999. TEST_SEED=<number>: the same again. */
export const runSeed = Number(process.env["TEST_SEED"] ?? Date.now() % 1_000_000);

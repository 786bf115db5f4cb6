import fc from "fast-check";
import { runSeed } from "./seed.ts";

// Before each file of project `unit`: a property that fails in one run fails in the next with the same TEST_SEED.
fc.configureGlobal({ seed: runSeed });

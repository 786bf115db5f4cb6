import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const doctor = fileURLToPath(new URL("../../../scripts/doctor.mjs", import.meta.url));

/** What the scripts, which are plain JavaScript, say to each version: null where it will do. */
function complaints(versions: readonly string[]): unknown {
  const script = `
    import { nodeTooOld } from ${JSON.stringify(doctor)};
    const versions = ${JSON.stringify(versions)};
    process.stdout.write(JSON.stringify(versions.map((version) => nodeTooOld(version) ?? null)));`;
  const words = ["--input-type=module", "-e", script];
  return JSON.parse(execFileSync(process.execPath, words, { encoding: "utf8" }));
}

test("Node from 20.19, from 22.12 and from 23 on will do", () => {
  const versions = ["20.19.0", "20.20.2", "22.12.0", "22.23.1", "23.5.0", "24.0.0", "26.1.0"];
  expect(complaints(versions)).toEqual(versions.map(() => null));
});

test("an older Node is named, with what is needed", () => {
  const versions = ["16.20.0", "18.20.8", "20.18.3", "21.7.3", "22.11.0"];
  expect(complaints(versions)).toEqual(
    versions.map((version) => expect.stringMatching(`^Node ${version} .*20\\.19`)),
  );
});

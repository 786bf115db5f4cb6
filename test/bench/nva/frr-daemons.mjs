// FRR's zebra and bgpd in a network namespace, for benches that have them as baseline.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cpuMs, program, rss, until } from "./rig.mjs";

const folderOf = "/usr/lib/frr";

/** Why they cannot be started, if so. */
export const missingFrr = () =>
  existsSync(`${folderOf}/bgpd`) ? undefined : "FRR is not installed (Debian: frr)";

/** @param space network namespace; also the name by which FRR tells its own daemons apart */
export function frrDaemons(space, folder) {
  const running = [];
  const place = join("/var/run/frr", space);
  const sum = (of) => running.reduce((all, one) => all + of(one), 0);
  return {
    async start(role, config) {
      mkdirSync(place, { recursive: true });
      execFileSync("chown", ["-R", "frr:frr", place]);
      const path = join(folder, `${role}.conf`);
      writeFileSync(path, config);
      execFileSync("chmod", ["-R", "a+rX", folder]);
      for (const daemon of ["zebra", "bgpd"]) {
        const words = [`${folderOf}/${daemon}`, "-N", space, "-f", path, "-u", "frr", "-g", "frr"];
        const extra = daemon === "bgpd" ? ["-p", "179"] : ["-s", "90000000"];
        running.push(
          program(folder, `${role}-${daemon}`, ["ip", "netns", "exec", space, ...words, ...extra]),
        );
        await until(`${daemon} of the ${role}`, () => existsSync(join(place, `${daemon}.vty`)));
      }
    },
    vtysh(...commands) {
      const words = commands.flatMap((command) => ["-c", command]);
      return execFileSync("vtysh", ["-N", space, ...words], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"], // it misses its config file
      });
    },
    cpu: () => sum(cpuMs),
    rss: () => sum((one) => rss(one)),
    async stop() {
      for (const one of running.reverse()) await one.stop();
      rmSync(place, { recursive: true, force: true });
    },
  };
}

import type { Migrated } from "./migrate.ts";
import type { Moment } from "./timeline.ts";

/** Milliseconds with one digit, since a moment. */
export const momentLine = ({ unixMs, where, what }: Moment, since: number): string =>
  `${(unixMs - since).toFixed(1).padStart(9)} ms  ${where.padEnd(8)} ${what}`;

/** What a migration came to, for people. */
export function downtimeLines(migrated: Migrated): readonly string[] {
  const { vm, from, to, nves, downtime, totalMs, forwarded, pings, stream } = migrated;
  const by =
    nves === undefined
      ? "at one switch, and the NVA has no part in it"
      : `${nves.from} to ${nves.to}`;
  return [
    `${vm}: ${from} to ${to} (${by}) in ${ms(totalMs)}`,
    `down for ${ms(downtime.totalMs)}: ${ms(downtime.hypervisorMs)} the hypervisor's (the VM ran nowhere), ` +
      `${ms(downtime.networkMs)} the network's (it ran, and frames did not come to it)`,
    ...(pings === undefined
      ? []
      : [
          `pings: ${pings.lost} of ${pings.sent} lost, ${pings.lostInPause} of them while the VM stood still, ` +
            `${pings.lostToNetwork} to the network, ${pings.lostOtherwise} otherwise; ${pings.duplicates} came twice` +
            (pings.answersThere ? "" : "; NONE is answered there") +
            (pings.missedByCapture === 0
              ? ""
              : `; ${pings.missedByCapture} requests and answers were not captured, and may be among the lost`),
        ]),
    ...(stream === undefined ? [] : [streamLine(stream)]),
    ...(forwarded === undefined || nves === undefined
      ? []
      : [`${forwarded} frames that still came to ${nves.from} went on to ${nves.to}`]),
  ];
}

function streamLine({ octets, intact, broken, longestSilenceMs }: NonNullable<Migrated["stream"]>) {
  const how = broken === "" ? "unbroken" : `BROKEN (${broken})`;
  const whole = intact ? "all as they were sent" : "NOT as they were sent";
  return `TCP connection: ${how}, ${octets} octets came back, ${whole}; at most ${ms(longestSilenceMs)} without any`;
}

const ms = (time: number): string => `${time < 100 ? time.toFixed(1) : Math.round(time)} ms`;

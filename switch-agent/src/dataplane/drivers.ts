/** What a switch may forward with; docs/dataplane.md says what each is. */
export const drivers = ["ebpf", "userspace", "bridge"] as const;

type Driver = (typeof drivers)[number];

type Said = {
  driver: Driver;
  attach: string;
  fastPath: string;
  onStop?: string | undefined;
  pins?: unknown;
  tables?: unknown;
  answer?: boolean | undefined;
  floodLimit?: unknown;
  encapsulations: readonly string[];
};

/** What a config asks of a driver that cannot do it: key and message. */
export function beyondDriver(config: Said): readonly (readonly [key: string, why: string])[] {
  const { driver, attach, fastPath, onStop, pins, tables } = config;
  if (driver === "ebpf") return [];
  const asked: readonly Asked[] = [
    ["attach", attach !== "auto", "it has no programs to attach"],
    ["fastPath", fastPath !== "auto", "it has no tunnel device of that kind"],
    ["onStop", onStop === "keep", "its frames stop with the agent: say remove, or nothing"],
    ["pins", pins !== undefined, "it leaves nothing to the next agent"],
    ["tables", tables !== undefined, "it has no tables of ours in the kernel"],
    ...(driver === "bridge" ? beyondBridge(config) : []),
  ];
  return refusals(driver, asked);
}

const beyondBridge = ({ answer, floodLimit, encapsulations }: Said): readonly Asked[] => [
  ["answer", answer === true, "the bridge floods ARP and ND"],
  ["floodLimit", isAsked(floodLimit), "the bridge limits no floods"],
  ["encapsulations", encapsulations.some((one) => one !== "vxlan"), "it has VXLAN alone"],
];

type Port = {
  checkIps?: boolean | undefined;
  glean?: boolean | undefined;
  floodLimit?: unknown;
  static?: unknown;
};

/** The same of an access port. */
export function portBeyondDriver(
  driver: Driver,
  port: Port,
): readonly (readonly [string, string])[] {
  if (driver !== "bridge") return [];
  const { checkIps, glean, floodLimit } = port;
  return refusals(driver, [
    ["checkIps", checkIps === true, "the bridge looks at MACs alone (checkSource)"],
    [
      "glean",
      glean ?? port.static !== undefined,
      "it learns from no frame: say glean: false, and name MACs",
    ],
    ["floodLimit", isAsked(floodLimit), "the bridge limits no floods"],
  ]);
}

/** Key, is it asked for, and why it cannot be. */
type Asked = readonly [key: string, is: boolean, why: string];

const isAsked = (limit: unknown): boolean => limit !== undefined && limit !== "off";

const refusals = (driver: Driver, asked: readonly Asked[]): (readonly [string, string])[] =>
  asked.flatMap(([key, is, why]) => (is ? [[key, `not with driver ${driver}: ${why}`]] : []));

/** What holds if the config does not say otherwise. */
export const defaultsOf = (driver: Driver) => ({
  onStop: driver === "ebpf" ? ("keep" as const) : ("remove" as const),
  answer: driver !== "bridge",
  floodLimit: driver === "bridge" ? ("off" as const) : { perSecond: 1000, burst: 2000 },
});

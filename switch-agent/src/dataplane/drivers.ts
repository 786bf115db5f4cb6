/** What a switch may forward with; docs/dataplane.md says what each is. */
export const drivers = ["ebpf", "userspace"] as const;

type Said = {
  driver: (typeof drivers)[number];
  attach: string;
  fastPath: string;
  onStop?: string | undefined;
  pins?: unknown;
  tables?: unknown;
};

/** What a config asks of a driver that cannot do it: key and message. */
export function beyondDriver(config: Said): readonly (readonly [key: string, why: string])[] {
  const { driver, attach, fastPath, onStop, pins, tables } = config;
  if (driver === "ebpf") return [];
  const asked: readonly [string, boolean, string][] = [
    ["attach", attach !== "auto", "it has no programs to attach"],
    ["fastPath", fastPath !== "auto", "it has no tunnel device"],
    ["onStop", onStop === "keep", "its frames stop with the agent: say remove, or nothing"],
    ["pins", pins !== undefined, "it leaves nothing to the next agent"],
    ["tables", tables !== undefined, "it has no tables in the kernel"],
  ];
  return asked.flatMap(([key, is, why]) =>
    is ? [[key, `not with driver ${driver}: ${why}`]] : [],
  );
}

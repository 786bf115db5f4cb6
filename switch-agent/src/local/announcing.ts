import { type Announcement, framesOf } from "@nve/switch-agent/nve";
import type { Asker } from "./nve.ts";

/** Frames at a time: of a rack that is evacuated more are left out. Nobody needs them who asks when his entry is old. */
const most = 2_000;

/** Tells who is behind access ports of MACs that have moved (M3). A port without a link of ours is told nothing. */
export function announce(
  all: readonly Announcement[],
  askers: ReadonlyMap<string, Pick<Asker, "send">>,
): void {
  let sent = 0;
  for (const announcement of all)
    for (const { port, frame } of framesOf(announcement)) {
      if (sent >= most) return;
      sent += 1;
      askers.get(port)?.send?.(frame);
    }
}

import { Refused } from "@nve/program/errors";
import { createLog } from "@nve/program/log";
import { SwitchAgent } from "@nve/switch-agent/agent";
import { expect, test } from "vitest";
import { cable } from "../../support/cable.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { MemoryDataplane } from "./memory-dataplane.ts";
import { ScriptedNva } from "./scripted-nva.ts";
import { MemoryBindings, MemoryInterfaces, torConfig } from "./tor.ts";

test("an access port that cannot be opened: what was opened before it is closed, and the program can end", () => {
  const clock = fakeClock();
  const first = cable(clock, { state: "up" }).b;
  let isFirstClosed = false;
  const { close } = first;
  first.close = () => {
    isFirstClosed = true;
    close.call(first);
  };
  let nva: ScriptedNva | undefined;
  const open = (): SwitchAgent =>
    new SwitchAgent({
      config: torConfig("[{ name: swp1 }, { name: swp2 }]"),
      version: "0.0.0",
      clock,
      log: createLog("switch-agent", "silent"),
      dataplane: new MemoryDataplane(),
      random: () => 0,
      openLink: (name) => {
        if (name === "swp1") return first;
        throw new Refused("port swp2: no libpcap here");
      },
      watchInterface: new MemoryInterfaces().watch,
      bindings: new MemoryBindings(),
      openNva: (wiring) => {
        nva = new ScriptedNva(wiring);
        return nva;
      },
    });
  expect(open).toThrow("port swp2: no libpcap here");
  expect(isFirstClosed).toBe(true);
  expect(nva?.closed).toBe(true);
});

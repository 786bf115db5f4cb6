import { checkRights as checkHypervisor } from "@nve/hypervisor-agent/rights";
import { checkRights as checkSwitch } from "@nve/switch-agent/rights";
import { describe, expect, test } from "vitest";

const all = ["CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_BPF"];

describe.each([
  ["hypervisor-agent", checkHypervisor],
  ["switch-agent", checkSwitch],
])("%s", (_, checkRights) => {
  test("without a right that it needs the agent does not start, and says which and how to mend it", () => {
    for (const missing of all) {
      const why = `${missing} \\(.*\\) missing; run as root, or .* AmbientCapabilities=${missing}$`;
      expect(() => checkRights((one) => all.includes(one) && one !== missing)).toThrow(
        new RegExp(why),
      );
    }
    expect(() => checkRights(() => false)).toThrow(/=CAP_NET_RAW CAP_NET_ADMIN CAP_BPF$/);
  });

  test("CAP_SYS_ADMIN is as good as CAP_BPF", () => {
    const rights = ["CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"];
    expect(() => checkRights((one) => rights.includes(one))).not.toThrow();
  });
});

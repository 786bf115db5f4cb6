import { createLog } from "@nve/program/log";
import { IpAddress, Mac, VdpError } from "@nve/protocol-spec";
import { Door } from "@nve/switch-agent/port/door";
import { openVsi } from "@nve/switch-agent/port/vsi";
import { expect, test } from "vitest";
import { fakeClock } from "../../support/fake-clock.ts";
import { association, group, times } from "../protocol-spec/machines/vsi.ts";

test("V10: without a policy a port takes 65,536 IPs over all its VNICs, and no more", () => {
  const clock = fakeClock();
  const door = new Door(undefined, clock, createLog("test", "silent"));
  const station = Mac("52:54:00:aa:00:01");
  const ask = (n: number) => {
    const manager = new Uint8Array(16);
    const vsi = openVsi({ key: `${n}`, manager, station, clock, times: () => times, perform() {} });
    const addresses = Array.from({ length: 16_384 }, () => ({ ip: IpAddress("10.0.0.1") }));
    const answer = door.checked(vsi, {
      association: association(group(0)),
      said: { addresses, macs: [] },
    });
    door.settle(vsi, true);
    return answer;
  };
  for (let n = 0; n < 4; n++) expect(ask(n)).toHaveProperty("said");
  expect(ask(4)).toMatchObject({ code: VdpError.insufficientResources, hard: false });
  expect(door.refused.limit).toBe(1);
});

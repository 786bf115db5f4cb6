import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { readAccessLink } from "@nve/lab/demo/wire";
import { expect, test } from "vitest";

const capture = resolve(import.meta.dirname, "../../captures/22-vdp-fmt3-null-vid.pcap");
const tcpdump = spawnSync("tcpdump", ["--version"]).error === undefined;

test.skipIf(!tcpdump)(
  "the demo sees LLDP and VDP of both sides in a capture of lldpad",
  async () => {
    const link = await readAccessLink(capture);
    expect(link.lldp).toBeGreaterThan(1);
    expect(link.vdp).toContain("52:54:00:aa:00:01 Associate");
    expect(new Set(link.vdp.map((message) => message.split(" ")[0])).size).toBe(2);
  },
);

import { openPacketLink, openPcapLink, probeFeatures } from "@nve/linux";
import { test } from "vitest";
import { linkContract } from "../contracts/link.ts";

linkContract("packet", openPacketLink);

const pcap = probeFeatures().find(({ name }) => name === "pcap");
if (pcap?.ok) linkContract("pcap", openPcapLink);
else test.skip(`a pcap link: ${pcap?.fix}`, () => {});

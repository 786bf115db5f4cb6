import { openPacketLink, openPcapLink } from "@nve/linux";
import { linkContract } from "../contracts/link.ts";

linkContract("packet", openPacketLink);
linkContract("pcap", openPcapLink);

// A program that opens links on lo, hears nothing, closes them and has nothing more to do.
import { linkMonitor, openPacketLink, openPcapLink, probeFeatures } from "@nve/linux";

await linkMonitor().ready;
const options = { interface: "lo", etherTypes: [0x88cc] };
const packet = openPacketLink(options);
const canPcap = probeFeatures().some(({ name, ok }) => name === "pcap" && ok);
const pcap = canPcap ? openPcapLink(options) : openPacketLink(options);
process.stdout.write(`packet ${packet.state}, pcap ${pcap.state}, `);
packet.close();
pcap.close();
process.stdout.write("closed\n");

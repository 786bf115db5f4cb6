// Sends Ethernet frames as they are: `node send-frames.mjs <interface> <hex>...`, in the namespace that it runs in.
import { openPacketLink } from "@nve/linux";

const [, , name = "", ...frames] = process.argv;
const link = openPacketLink({ interface: name, etherTypes: [0x88b5] });

if (link.state === "up") send();
else link.onState((state) => state === "up" && send());

function send() {
  const sent = frames.filter((frame) => link.send(Buffer.from(frame, "hex"))).length;
  link.close();
  process.exit(sent === frames.length ? 0 : 1);
}

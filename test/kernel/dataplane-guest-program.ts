import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import type { Intent } from "@nve/switch-agent/nve";
import type { DataplaneRig } from "../contracts/dataplane-bench.ts";
import type { Tunnelled } from "../contracts/tunnels.ts";
import { serve } from "../support/qemu/serve.ts";
import { BridgeRig, EbpfRig, type NamespaceRig, UserspaceRig } from "./dataplane-rig.ts";

// Runs in the guest: one rig, driven from outside (dataplane-guest.ts).

const drivers: Record<string, (family: 4 | 6) => NonNullable<typeof made>> = {
  bridge: (family) => new BridgeRig(family),
  ebpf: (family) => new EbpfRig("clsact", family), // it has no TCX
  userspace: (family) => new UserspaceRig(family),
};

let made: (NamespaceRig & Pick<DataplaneRig, "tells">) | undefined;
let open: Dataplane | undefined;
let sending: Promise<void> | undefined;
let sent = true;

const rig = (): NonNullable<typeof made> => made ?? missing("rig");
const dataplane = (): Dataplane => open ?? missing("dataplane");
const missing = (what: string): never => {
  throw new Error(`there is no ${what}`);
};

serve({
  make: (driver: string, family: 4 | 6) => {
    made = drivers[driver]?.(family);
    const { encapsulation, vtep, a, b, stranger, mtu, tells } = rig();
    return { encapsulation, vtep, a, b, stranger, mtu, tells };
  },
  open: async () => {
    open = await rig().open();
    return open.mtu;
  },
  send: (port: string, frame: Uint8Array) => rig().send(port, frame),
  startSending: (port: string, frame: Uint8Array, n: number) => {
    sent = false;
    sending = rig()
      .sendMany(port, frame, n)
      .finally(() => {
        sent = true;
      });
    sending.catch(() => {}); // told by haveSent
  },
  haveSent: async () => {
    if (sent) await sending;
    return sent;
  },
  tunnel: (tunnelled: Tunnelled) => rig().tunnel(tunnelled),
  frames: () => rig().frames(),
  received: (wire: string) => rig().received(wire),
  deletePort: (port: string) => rig().deletePort(port),
  addPort: (port: string) => rig().addPort(port),
  run: (command: string, ...args: string[]) => rig().tor.run(command, ...args),
  "dataplane.ensure": (intents: readonly Intent[]) => dataplane().ensure(intents),
  "dataplane.remove": (intents: readonly Intent[]) => dataplane().remove(intents),
  "dataplane.prune": (wanted: readonly Intent[]) => dataplane().prune(wanted),
  "dataplane.portUp": (port: string) => dataplane().portUp(port),
  "dataplane.portDown": (port: string) => dataplane().portDown(port),
  "dataplane.counters": () => dataplane().counters(),
  "dataplane.applied": () => dataplane().applied(),
  "dataplane.close": () => dataplane().close(),
});

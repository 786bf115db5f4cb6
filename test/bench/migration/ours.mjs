// Our side: a VNIC is prepared at its new place, suspended at the old one, activated at the new one, detached at the old one.
import { uuidOctets } from "@nve/protocol-spec/ids";
import { MigrationState } from "@nve/protocol-spec/proto/northbound";
import { until } from "../nva/rig.mjs";
import { nowMs, startProbe } from "./probe.mjs";
import { hypervisor, openRacks } from "./racks.mjs";

const VN = 10_001;
const racks = [["s1", "s2"], ["s3"], ["s4"]];
/** So many of each kind take turns, so that each rests until its last move is over. */
const EACH = 8;
const ways = { across: ["s1", "s3"], within: ["s1", "s2"] };
const hex = (n) => n.toString(16).padStart(2, "0");

/** A VNIC by number; the same at both sides of the comparison. */
export const vnicOf = (kind, n, vnId = VN) => {
  const last = (kind === "across" ? 0 : 100) + n + 1;
  return {
    name: `${kind[0]}${n}`,
    uuid: `5c1e0000-0000-4000-8000-0000000000${hex(last)}`,
    vnId,
    mac: `02:00:00:00:00:${hex(last)}`,
    ip: `10.9.0.${last}`,
    at: 0,
  };
};
export const peer = { ...vnicOf("across", 250), name: "peer" };

export async function openOurs(program) {
  const vnics = Object.keys(ways).flatMap((kind) =>
    Array.from({ length: EACH }, (_, n) => ({ ...vnicOf(kind, n), kind })),
  );
  const cables = vnics.flatMap(({ name, kind }) =>
    ways[kind].map((server) => ({ server, vnic: name })),
  );
  const rig = await openRacks({ racks, cables: [...cables, { server: "s4", vnic: peer.name }] });
  let probe;
  const close = async () => {
    probe?.close();
    await rig.close();
  };
  try {
    const places = cables.map(({ server, vnic }) => rig.at(server, vnic));
    for (const vnic of vnics)
      vnic.places = ways[vnic.kind].map((server) => places.indexOf(rig.at(server, vnic.name)));
    probe = await startProbe(program, [rig.at("s4", peer.name)], places);
    await rig.nva("createVn", {
      alias: "red",
      vnId: VN,
      vni: 70_001,
      name: Buffer.alloc(0),
      tenant: "",
      mtu: 0,
    });
    const at = (vnic, n) => hypervisor(rig.servers.get(ways[vnic.kind][n]));
    await hypervisor(rig.servers.get("s4")).attach(peer);
    for (const vnic of vnics) await at(vnic, 0).attach(vnic);
    return {
      ...{ probe, sender: peer, turn: 0, rig, close },
      vnics: (kind) => vnics.filter((vnic) => vnic.kind === kind),
      prepare: async (vnic, to) => {
        await isOver(rig, vnic);
        await at(vnic, to).prepare(vnic);
      },
      move: async (vnic, from, to) => {
        const begin = nowMs();
        await at(vnic, from).suspend(vnic);
        const handOverMs = nowMs();
        await at(vnic, to).activate(vnic);
        return { handOverMs, suspendMs: handOverMs - begin, activateMs: nowMs() - handOverMs };
      },
      after: (vnic, from) => at(vnic, from).detach(vnic),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const over = new Set([
  MigrationState.MIGRATION_STATE_COMPLETED,
  MigrationState.MIGRATION_STATE_ROLLED_BACK,
  MigrationState.MIGRATION_STATE_GIVEN_UP,
]);

/** Nobody forwards for it any more. Within a ToR there was no migration at the NVA. */
function isOver({ nva }, { uuid, name }) {
  const request = { vn: undefined, vnic: Buffer.from(uuidOctets(uuid)), running: false };
  const page = { pageSize: 10, pageToken: "" };
  return until(`the last migration of ${name} to be over`, async () => {
    const { migrations } = await nva("listMigrations", { ...request, ...page });
    return migrations.every(({ state }) => over.has(state));
  });
}

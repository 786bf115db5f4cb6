import { show, showOne } from "@nve/program/output";
import { argument, textArgument } from "@nve/program/program";
import { call } from "@nve/program/rpc";
import { OutOfRange } from "@nve/protocol-spec/errors";
import { Uuid, uuidOctets, VnId, Vni } from "@nve/protocol-spec/ids";
import { Command } from "commander";
import {
  ask,
  asking,
  type Common,
  columns,
  everyPage,
  type Outside,
  outputOf,
  vnRef,
} from "./outside.ts";
import { type VnRecord, vnRecord } from "./records.ts";

type Create = Common & { id?: VnId; vni?: Vni; name?: Uuid; tenant: string; mtu?: number };

export function vnCommand(outside: Outside): Command {
  const vn = new Command("vn").description("virtual networks");
  vn.addCommand(createCommand(outside));
  asking(vn.command("list"))
    .description("all VNs")
    .action(async (options: Common) => {
      const all = await ask(outside, options, (nva) =>
        everyPage(async (pageToken) => {
          const { vns, nextPageToken } = await call(nva, nva.listVns, {
            pageSize: 1000,
            pageToken,
          });
          return { rows: vns.map(vnRecord), nextPageToken };
        }),
      );
      show(
        all,
        table,
        outputOf(outside, options),
        "no VN yet: create one with `nva vn create <alias>`",
      );
    });
  asking(vn.command("show <vn>"))
    .description("one VN, named by its VN ID, alias (or tenant/alias) or UUID")
    .action(async (ref: string, options: Common) => {
      const found = await ask(outside, options, (nva) => call(nva, nva.getVn, vnRef(ref)));
      showOne(vnRecord(found), outputOf(outside, options));
    });
  asking(vn.command("delete <vn>"))
    .description("delete a VN that no NVE uses any more")
    .option("--force", "also while it is in use: its members are disconnected", false)
    .action(async (ref: string, options: Common & { force: boolean }) => {
      const request = { vn: vnRef(ref), force: options.force };
      const { revision } = await ask(outside, options, (nva) => call(nva, nva.deleteVn, request));
      showOne({ deleted: ref, revision: Number(revision) }, outputOf(outside, options));
    });
  return vn.addHelpText("after", examples);
}

function createCommand(outside: Outside): Command {
  return asking(new Command("create"))
    .argument("<alias>", "for people; unique in its tenant")
    .description("create a VN; what is left out is chosen, free and unique")
    .option("--id <vn-id>", "VN ID, 1..16777215", argument(VnId))
    .option("--vni <vni>", "VNI in the underlay, 0..16777215", argument(Vni))
    .option("--name <uuid>", "VN Name", textArgument(Uuid))
    .option("--tenant <tenant>", "whose it is", "default")
    .option("--mtu <octets>", "of the tenant's frames, 68..65535", argument(mtu))
    .action(async (alias: string, options: Create) => {
      const { id, vni, name, tenant, mtu: octets } = options;
      const request = {
        alias,
        tenant,
        name: name === undefined ? Buffer.alloc(0) : Buffer.from(uuidOctets(name)),
        vnId: id ?? 0,
        vni,
        mtu: octets ?? 0,
      };
      const made = await ask(outside, options, (nva) => call(nva, nva.createVn, request));
      showOne(vnRecord(made), outputOf(outside, options));
    });
}

function mtu(octets: number): number {
  if (octets < 68 || octets > 65_535) throw new OutOfRange(`MTU ${octets} is not in 68..65535`);
  return octets;
}

const table = columns<VnRecord>({
  ALIAS: (vn) => vn.alias,
  "VN ID": (vn) => vn.vnId,
  VNI: (vn) => vn.vni,
  TENANT: (vn) => vn.tenant,
  MTU: (vn) => (vn.mtu === 0 ? "" : vn.mtu),
  NAME: (vn) => vn.name,
});

const examples = `
Examples:
  nva vn create blue
  nva vn create red --id 200 --vni 5200 --mtu 1450
  nva vn show blue
  nva vn delete 200 --force`;

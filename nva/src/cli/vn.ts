import { randomUUID } from "node:crypto";
import { Refused } from "@nve/program/errors";
import { type Output, show, showOne } from "@nve/program/output";
import { argument, textArgument } from "@nve/program/program";
import { call } from "@nve/program/rpc";
import { OutOfRange } from "@nve/protocol-spec/errors";
import { Uuid, uuidOctets, VnId, Vni } from "@nve/protocol-spec/ids";
import type { NorthboundClient, VnRef } from "@nve/protocol-spec/proto/northbound";
import { Command } from "commander";
import { valueText } from "../domain/diff.ts";
import type { Input } from "../domain/input.ts";
import { readVn } from "../domain/read.ts";
import { aliasText, nameText, vnPath } from "../domain/text.ts";
import { change, changedMeanwhile, expecting, needChange } from "./declare.ts";
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
import { isAborted, put, readOne, vnPathOf } from "./resources.ts";
import { isAnySet, type Setting, settle, withClear, withSettings } from "./settings.ts";
import { description } from "./tenant.ts";
import { wireKind } from "./wire.ts";

type Create = Common & { id?: VnId; vni?: Vni; name?: Uuid; tenant: string; mtu?: number };

/** Beyond its names and numbers. */
const settings: readonly Setting[] = [
  { flag: "--profile <name>", says: "what its NVEs enforce", field: ["profile"] },
  { flag: "--admission <mode>", says: "open, registered or strict", field: ["admission"] },
  {
    flag: "--duplicates <action>",
    says: "of addresses that move too often: warn or freeze",
    field: ["duplicates", "action"],
    whole: ["duplicates"],
  },
  {
    flag: "--duplicate-moves <n>",
    says: "how often is too often, 1..100",
    field: ["duplicates", "moves"],
  },
  {
    flag: "--duplicate-window <time>",
    says: "within what time, as 180s",
    field: ["duplicates", "window"],
  },
  {
    flag: "--freeze-for <time>",
    says: "how long, as 10min; else until it is cleared",
    field: ["duplicates", "for"],
  },
  { flag: "--service <kind>", says: "l2 or l3", field: ["service"] },
  {
    flag: "--flood <mode>",
    says: "what goes to all: head-end (a copy for each NVE) or multicast (to --group)",
    field: ["flood"],
  },
  {
    flag: "--group <ip...>",
    says: "of the underlay, one of IPv4, one of IPv6, or both",
    field: ["groups"],
  },
  {
    flag: "--unknown <mode>",
    says: "frames to MACs that nobody knows: flood or drop; else as it needs to be",
    field: ["unknown"],
  },
  {
    flag: "--suspended <mode>",
    says: "packets for suspended addresses: deliver, drop, or unreachable (ICMP); else as the NVA's config says",
    field: ["suspended"],
  },
  description,
];
const mtuSetting: Setting = {
  flag: "--mtu <octets>",
  says: "of the tenant's frames, 68..65535",
  field: ["mtu"],
};

export function vnCommand(outside: Outside): Command {
  const vn = new Command("vn").description("virtual networks");
  vn.addCommand(createCommand(outside));
  vn.addCommand(updateCommand(outside));
  asking(vn.command("list"))
    .description("all VNs")
    .option("--tenant <tenant>", "of this tenant only", textArgument(nameText))
    .action(async (options: Common & { tenant?: string }) => {
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
        all.filter(({ tenant }) => tenant === (options.tenant ?? tenant)),
        table,
        outputOf(outside, options),
        options.tenant === undefined
          ? "no VN yet: create one with `nva vn create <alias>`"
          : `no VN of tenant ${options.tenant}`,
      );
    });
  asking(vn.command("show <vn>"))
    .description("one VN, named by its VN ID, alias (or tenant/alias) or UUID")
    .action(async (ref: string, options: Common) => {
      const found = await ask(outside, options, (nva) => described(nva, vnRef(ref)));
      showVn(found, outputOf(outside, options));
    });
  vn.addCommand(deleteCommand(outside));
  return vn.addHelpText("after", examples);
}

function createCommand(outside: Outside): Command {
  const command = asking(new Command("create"))
    .argument("<alias>", "for people; unique in its tenant", textArgument(newAlias))
    .description("create a VN; what is left out is chosen, free and unique")
    .option("--id <vn-id>", "VN ID, 1..16777215", argument(VnId))
    .option("--vni <vni>", "VNI in the underlay, 0..16777215", argument(Vni))
    .option("--name <uuid>", "VN Name", textArgument(Uuid))
    .option("--tenant <tenant>", "whose it is", textArgument(nameText), "default")
    .option("--mtu <octets>", mtuSetting.says, argument(mtu));
  return withSettings(command, settings).action(async (alias: string, options: Create) => {
    const { id, vni, name, tenant, mtu: octets } = options;
    if (isAnySet(command, settings)) return createWith(command, outside, alias, options);
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

/** With settings: as it would be declared. */
async function createWith(
  command: Command,
  outside: Outside,
  alias: string,
  options: Create,
): Promise<void> {
  const { id, vni, name, tenant, mtu: octets } = options;
  const path = pathOf(command, tenant, alias);
  const declared = settle(command, settings, { is: "none" }, (input) => readVn(path, input));
  const wanted = {
    ...declared,
    ...(id !== undefined && { id }),
    ...(vni !== undefined && { vni }),
    ...(octets !== undefined && { mtu: octets }),
    name: name ?? Uuid(randomUUID()),
  };
  const made = await ask(outside, options, async (nva) => {
    try {
      await put(nva, "vn", wanted, 0n);
    } catch (error) {
      if (!isAborted(error)) throw error;
      throw new Refused(`there is a VN ${path} already: \`nva vn update\` changes it`);
    }
    return described(nva, vnRef(path));
  });
  showVn(made, outputOf(outside, options));
}

type Described = VnRecord & { description?: string };

/** With what its declaration alone says. */
async function described(nva: NorthboundClient, ref: VnRef): Promise<Described> {
  const vn = await call(nva, nva.getVn, ref);
  const { value } = await readOne(nva, "vn", String(vn.vnId));
  const text = value.description;
  return { ...vnRecord(vn), ...(text !== undefined && { description: text }) };
}

function showVn(vn: Described, output: Output): void {
  const { duplicates } = vn;
  const isText = !output.json && duplicates !== undefined;
  showOne(isText ? { ...vn, duplicates: valueText(duplicates) } : vn, output);
}

function pathOf(command: Command, tenant: string, alias: string): ReturnType<typeof vnPath> {
  try {
    return vnPath(`${tenant}/${alias}`);
  } catch (error) {
    if (!(error instanceof OutOfRange)) throw error;
    return command.error(`error: ${error.message}`, { exitCode: 2 });
  }
}

function updateCommand(outside: Outside): Command {
  const all = [mtuSetting, ...settings];
  const command = asking(new Command("update"))
    .argument("<vn>", "VN ID, alias (or tenant/alias) or UUID")
    .description("change what is given of a VN and keep the rest; its Name, VN ID and VNI stay")
    .option("--alias <alias>", "what it is called from now on", textArgument(newAlias));
  type Update = Common & { alias?: string; expect?: bigint };
  return withClear(expecting(withSettings(command, all)), all).action(
    async (ref: string, options: Update) => {
      needChange(command, all, options.alias !== undefined);
      const changed = await ask(outside, options, async (nva) => {
        const path = await vnPathOf(nva, ref);
        const [tenant = ""] = path.split("/");
        const after = options.alias === undefined ? path : vnPath(`${tenant}/${options.alias}`);
        const of = {
          kind: "vn",
          settings: all,
          read: (_: string, input: Input) => readVn(after, input),
        } as const;
        await change(command, nva, of, path, options.expect, after !== path);
        return described(nva, vnRef(after));
      });
      showVn(changed, outputOf(outside, options));
    },
  );
}

function deleteCommand(outside: Outside): Command {
  const command = asking(new Command("delete"))
    .argument("<vn>", "VN ID, alias (or tenant/alias) or UUID")
    .description("delete a VN that no NVE uses any more")
    .option("--force", "also while it is in use: its members are disconnected", false);
  type Delete = Common & { force: boolean; expect?: bigint };
  return expecting(command).action(async (ref: string, options: Delete) => {
    const { force, expect: expected } = options;
    const { revision } = await ask(outside, options, async (nva) => {
      if (expected === undefined) return call(nva, nva.deleteVn, { vn: vnRef(ref), force });
      const key = { kind: wireKind("vn"), key: await vnPathOf(nva, ref) };
      return call(nva, nva.deleteResource, { key, force, expected }).catch((error: unknown) => {
        throw changedMeanwhile(error);
      });
    });
    showOne({ deleted: ref, revision: Number(revision) }, outputOf(outside, options));
  });
}

const isUuid = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);

/** One by which commands find the VN again (`vnRef`): what reads as something else is not. */
function newAlias(text: string): string {
  const alias = aliasText(text);
  if (alias.includes("/"))
    throw new OutOfRange(`"${alias}" reads as <tenant>/<alias>: an alias here is without a slash`);
  if (/^\d+$/.test(alias) || isUuid(alias))
    throw new OutOfRange(`"${alias}" reads as a VN ID or a VN Name: commands would look for that`);
  return alias;
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
  MTU: (vn) => vn.mtu ?? "",
  NAME: (vn) => vn.name,
});

const examples = `
Examples:
  nva vn create blue
  nva vn create red --id 200 --vni 5200 --mtu 1450
  nva vn update blue --profile web --admission registered
  nva vn show blue
  nva vn delete 200 --force`;

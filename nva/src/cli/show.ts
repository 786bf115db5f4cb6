import { NotFound } from "@nve/program/errors";
import { type Column, few, show, showOne } from "@nve/program/output";
import { textArgument } from "@nve/program/program";
import { call } from "@nve/program/rpc";
import { OutOfRange } from "@nve/protocol-spec/errors";
import { Mac, macOctets } from "@nve/protocol-spec/ids";
import { ipOctets } from "@nve/protocol-spec/ip";
import type { NorthboundClient, VnRef } from "@nve/protocol-spec/proto/northbound";
import type { LookupRequest } from "@nve/protocol-spec/proto/nve";
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
import {
  type ClaimRecord,
  claimRecord,
  type MappingRecord,
  mappingRecord,
  type NveLine,
  nveRecord,
  statusRecord,
} from "./records.ts";

export function nveCommand(outside: Outside): Command {
  const nve = new Command("nve").description("the NVEs that this NVA serves");
  asking(nve.command("list"))
    .description("all NVEs, also lost ones whose claims are still served")
    .action(async (options: Common) => {
      const { nves } = await ask(outside, options, (nva) => call(nva, nva.listNves, {}));
      show(nves.map(nveRecord), nveTable, outputOf(outside, options), "no NVE has connected");
    });
  return nve.addHelpText(
    "after",
    "\nExample:\n  nva nve list --address nva.example:7470 --cert me.pem --key me.key --ca ca.pem",
  );
}

export function mappingCommand(outside: Outside): Command {
  const mapping = new Command("mapping").description("where the addresses of VNs are");
  const says = { description: "all mappings, or those of one VN", none: "no mappings" };
  listCommand(mapping, outside, mappingTable, says, async (nva, request) => {
    const { mappings, nextPageToken } = await call(nva, nva.listMappings, request);
    return { rows: mappings.map(mappingRecord), nextPageToken };
  });
  return mapping.addHelpText("after", "\nExample:\n  nva mapping list --vn blue --json");
}

export function claimCommand(outside: Outside): Command {
  const claim = new Command("claim").description("who says where addresses are");
  const description = "all claims, or those of one VN; the best of an address makes its mapping";
  listCommand(
    claim,
    outside,
    claimTable,
    { description, none: "no claims" },
    async (nva, request) => {
      const { claims, nextPageToken } = await call(nva, nva.listClaims, request);
      return { rows: claims.flatMap((one) => claimRecord(one) ?? []), nextPageToken };
    },
  );
  return claim.addHelpText("after", "\nExample:\n  nva claim list --vn blue");
}

/** `list`, of all VNs or of one. */
function listCommand<Row extends object>(
  parent: Command,
  outside: Outside,
  table: Column<Row>[],
  { description, none }: { description: string; none: string },
  page: (
    nva: NorthboundClient,
    request: { vn: VnRef | undefined; pageSize: number; pageToken: string },
  ) => Promise<{ rows: Row[]; nextPageToken: string }>,
): void {
  asking(parent.command("list"))
    .description(description)
    .option("--vn <vn>", "VN ID, alias or UUID")
    .action(async (options: Common & { vn?: string }) => {
      const vn = options.vn === undefined ? undefined : vnRef(options.vn);
      const all = await ask(outside, options, (nva) =>
        everyPage((pageToken) => page(nva, { vn, pageSize: 1000, pageToken })),
      );
      show(all, table, outputOf(outside, options), none);
    });
}

export function lookupCommand(outside: Outside): Command {
  return asking(new Command("lookup"))
    .argument("<vn>", "VN ID, alias or UUID")
    .argument("<address>", "MAC or IP address", textArgument(addressOf))
    .description("ask for one address, as an NVE does")
    .action(async (ref: string, address: Address, options: Common) => {
      const { vnId } = await ask(outside, options, (nva) => call(nva, nva.getVn, vnRef(ref)));
      const client = outside.nve(options);
      try {
        const { answer } = await call(client, client.lookup, { vnId, address });
        if (answer?.$case !== "found")
          throw new NotFound(`no such address in VN ${ref}: nobody claims it`);
        const [found, output] = [mappingRecord(answer.value), outputOf(outside, options)];
        if (output.json) showOne(found, output);
        else show([found], mappingTable, output);
      } finally {
        client.close();
      }
    })
    .addHelpText(
      "after",
      "\nExamples:\n  nva lookup blue 02:00:00:00:00:0a\n  nva lookup 100 10.0.0.1",
    );
}

export function statusCommand(outside: Outside): Command {
  return asking(new Command("status"))
    .description("the NVA itself: its store, and how much of everything it holds")
    .action(async (options: Common) => {
      const status = await ask(outside, options, (nva) => call(nva, nva.status, {}));
      showOne(statusRecord(status), outputOf(outside, options));
    })
    .addHelpText("after", "\nExample:\n  nva status --json");
}

type Address = NonNullable<LookupRequest["address"]>;

function addressOf(text: string): Address {
  const mac = orUndefined(() => macOctets(Mac(text)));
  if (mac !== undefined) return { $case: "mac", value: Buffer.from(mac) };
  const ip = orUndefined(() => ipOctets(text));
  if (ip !== undefined) return { $case: "ip", value: Buffer.from(ip) };
  throw new OutOfRange(`"${text}" is neither a MAC nor an IP address`);
}

function orUndefined<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    if (error instanceof OutOfRange) return undefined;
    throw error;
  }
}

const nveTable = columns<NveLine>({
  NVE: (nve) => nve.nve,
  STATE: (nve) => nve.state,
  SINCE: (nve) => nve.since,
  VTEPS: (nve) => nve.vteps.join(","),
  VNS: (nve) => nve.vnIds.length,
  CLAIMS: (nve) => nve.claims,
  APPLIED: (nve) => nve.appliedRevision,
});

const mappingTable = columns<MappingRecord>({
  "VN ID": (mapping) => mapping.vnId,
  MAC: (mapping) => mapping.mac,
  IPS: (mapping) => few(mapping.ips),
  NVE: (mapping) => mapping.locations.map(({ nve }) => nve).join(","),
  VTEP: (mapping) => mapping.locations.map(({ vteps }) => vteps[0] ?? "?").join(","),
  SEQUENCE: (mapping) => mapping.sequence,
  FLAGS: (mapping) => mapping.flags.join(","),
});

const claimTable = columns<ClaimRecord>({
  "VN ID": (claim) => claim.vnId,
  MAC: (claim) => claim.mac,
  SOURCE: (claim) => claim.source,
  BEST: (claim) => (claim.best ? "yes" : ""),
  IPS: (claim) => few(claim.ips),
  PORT: (claim) => claim.port,
  HYPERVISOR: (claim) => claim.hypervisor,
  SEQUENCE: (claim) => claim.sequence,
  FLAGS: (claim) => claim.flags.join(","),
});

import { few, show, showOne } from "@nve/program/output";
import { textArgument } from "@nve/program/program";
import { call } from "@nve/program/rpc";
import { Mac, macFrom, macOctets } from "@nve/protocol-spec/ids";
import { ipFrom } from "@nve/protocol-spec/ip";
import type { Duplicate } from "@nve/protocol-spec/proto/northbound";
import { Command } from "commander";
import { ask, asking, type Common, columns, type Outside, outputOf, vnRef } from "./outside.ts";

const record = (one: Duplicate) => ({
  vnId: one.vnId,
  mac: one.mac.length === 0 ? "" : macFrom(one.mac),
  ips: one.ips.map(ipFrom),
  moves: one.moves,
  since: new Date(Number(one.sinceUnixMs)).toISOString(),
  frozen: one.frozen,
  until: one.untilUnixMs === 0n ? "" : new Date(Number(one.untilUnixMs)).toISOString(),
  sources: one.sources,
});
type DuplicateRecord = ReturnType<typeof record>;

export function duplicatesCommand(outside: Outside): Command {
  const duplicates = new Command("duplicates").description(
    "addresses that are claimed here and there by turns",
  );
  asking(duplicates.command("list"))
    .description("all, or those of one VN")
    .option("--vn <vn>", "VN ID, alias or UUID")
    .action(async (options: Common & { vn?: string }) => {
      const vn = options.vn === undefined ? undefined : vnRef(options.vn);
      const found = await ask(outside, options, (nva) => call(nva, nva.listDuplicates, { vn }));
      const rows = found.duplicates.map(record);
      show(rows, table, outputOf(outside, options), "no duplicate addresses");
    });
  asking(duplicates.command("clear"))
    .description(
      "forget what was seen of an address: it is served again from where it is best claimed",
    )
    .argument("<vn>", "VN ID, alias or UUID")
    .argument("<mac>", "MAC address", textArgument(Mac))
    .action(async (vn: string, mac: Mac, options: Common) => {
      const request = { vn: vnRef(vn), mac: Buffer.from(macOctets(mac)) };
      const { revision } = await ask(outside, options, (nva) =>
        call(nva, nva.clearDuplicate, request),
      );
      showOne({ cleared: mac, vn, revision: Number(revision) }, outputOf(outside, options));
    });
  return duplicates.addHelpText(
    "after",
    "\nExamples:\n  nva duplicates list\n  nva duplicates clear acme/blue 02:00:00:00:00:0a",
  );
}

const table = columns<DuplicateRecord>({
  "VN ID": (one) => one.vnId,
  MAC: (one) => one.mac,
  IPS: (one) => few(one.ips),
  MOVES: (one) => one.moves,
  SINCE: (one) => one.since,
  FROZEN: (one) => (one.frozen ? (one.until === "" ? "until cleared" : `until ${one.until}`) : ""),
  SOURCES: (one) => few(one.sources),
});

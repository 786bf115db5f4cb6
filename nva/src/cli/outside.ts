import { Refused } from "@nve/program/errors";
import type { Column, Output } from "@nve/program/output";
import { connect } from "@nve/program/rpc";
import { Uuid, uuidOctets } from "@nve/protocol-spec/ids";
import { NorthboundClient, type VnRef } from "@nve/protocol-spec/proto/northbound";
import { NveClient } from "@nve/protocol-spec/proto/nve";
import type { Command } from "commander";
import { DEFAULT_SOCKET } from "../socket.ts";

/** What the commands talk to and where they print: a test brings its own. */
export type Outside = {
  northbound: (address: string) => NorthboundClient;
  nve: (address: string) => NveClient;
  print: (line: string) => void;
};

export const realOutside: Outside = {
  northbound: (address) => connect(NorthboundClient, address),
  nve: (address) => connect(NveClient, address),
  print: (line) => process.stdout.write(`${line}\n`),
};

export type Common = { json: boolean; address: string };

/** The options of every command that asks a running NVA. */
export function asking(command: Command): Command {
  return command
    .option("--json", "print JSON", false)
    .option("--address <address>", "the NVA: unix:<path> or host:port", DEFAULT_SOCKET);
}

/** Asks the northbound API and closes the connection. */
export async function ask<T>(
  { northbound }: Outside,
  { address }: Common,
  question: (client: NorthboundClient) => Promise<T>,
): Promise<T> {
  const client = northbound(address);
  try {
    return await question(client);
  } finally {
    client.close();
  }
}

export const outputOf = ({ print }: Outside, { json }: Common): Output => ({ json, print });

/** How an operator names a VN: VN ID, UUID, alias, or tenant/alias. @throws Refused */
export function vnRef(text: string): VnRef {
  if (/^\d+$/.test(text)) {
    if (Number(text) === 0 || Number(text) > 0xffffff)
      throw new Refused(`VN ID ${text} is not in 1..16777215`);
    return { ref: { $case: "vnId", value: Number(text) } };
  }
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text))
    return { ref: { $case: "name", value: Buffer.from(uuidOctets(Uuid(text))) } };
  return { ref: { $case: "alias", value: text } };
}

/** All pages, one after another. */
export async function everyPage<Row>(
  page: (pageToken: string) => Promise<{ rows: Row[]; nextPageToken: string }>,
): Promise<Row[]> {
  const rows: Row[] = [];
  let token = "";
  do {
    const answer = await page(token);
    rows.push(...answer.rows);
    token = answer.nextPageToken;
  } while (token !== "");
  return rows;
}

/** Columns whose text is a property of the row. */
export function columns<Row>(heads: Record<string, (row: Row) => string | number>): Column<Row>[] {
  return Object.entries(heads).map(([head, of]) => ({ head, of }));
}

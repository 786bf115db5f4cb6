import { Usage } from "@nve/program/errors";
import type { Column, Output } from "@nve/program/output";
import { Uuid, uuidOctets } from "@nve/protocol-spec/ids";
import { NorthboundClient, type VnRef } from "@nve/protocol-spec/proto/northbound";
import { NveClient } from "@nve/protocol-spec/proto/nve";
import type { Command } from "commander";
import { clientOf, type Reach, reaching } from "./reach.ts";
import { confirm, readWhole } from "./terminal.ts";

/** What the commands talk to and where they print: a test brings its own. */
export type Outside = {
  northbound: (reach: Reach) => NorthboundClient;
  nve: (reach: Reach) => NveClient;
  print: (line: string) => void;
  /** For people, beside what is printed. */
  note: (line: string) => void;
  /** The whole of a file, or of the standard input: `-`. */
  read: (path: string) => Promise<string>;
  /** Asks whoever sits at the terminal; undefined when nobody does. */
  confirm: (question: string) => Promise<boolean | undefined>;
  exitWith: (code: number) => void;
};

export const realOutside: Outside = {
  northbound: (reach) => clientOf(NorthboundClient, reach),
  nve: (reach) => clientOf(NveClient, reach),
  print: (line) => process.stdout.write(`${line}\n`),
  note: (line) => process.stderr.write(`${line}\n`),
  read: readWhole,
  confirm,
  exitWith: (code) => {
    process.exitCode = code;
  },
};

export type Common = Reach & { json: boolean };

/** The options of every command that asks a running NVA. */
export function asking(command: Command): Command {
  return reaching(command.option("--json", "print JSON", false));
}

/** Asks the northbound API and closes the connection. */
export async function ask<T>(
  { northbound }: Outside,
  reach: Common,
  question: (client: NorthboundClient) => Promise<T>,
): Promise<T> {
  const client = northbound(reach);
  try {
    return await question(client);
  } finally {
    client.close();
  }
}

export const outputOf = ({ print }: Outside, { json }: Common): Output => ({ json, print });

/** How an operator names a VN: VN ID, UUID, alias, or tenant/alias. @throws Usage */
export function vnRef(text: string): VnRef {
  // Longer than a tenant and an alias can be; an NVA would say it all back.
  if (text.length > 200) throw new Usage(`no VN is called by ${text.length} characters`);
  if (/^\d+$/.test(text)) {
    if (Number(text) === 0 || Number(text) > 0xffffff)
      throw new Usage(`VN ID ${text} is not in 1..16777215`);
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

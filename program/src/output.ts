export type Column<Row> = { head: string; of: (row: Row) => string | number | undefined };

export type Output = { json: boolean; print: (line: string) => void };

/** Prints rows as a table with aligned columns, or as a JSON array of the rows as they are. */
export function show<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  { json, print }: Output,
  none = "none",
): void {
  if (json || rows.length === 0) {
    print(json ? toJson(rows) : none);
    return;
  }
  const cells = [
    columns.map((column) => column.head),
    ...rows.map((row) => columns.map((column) => printable(column.of(row)))),
  ];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)));
  for (const line of cells) {
    print(
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    );
  }
}

/** Some of many, for one cell: all of up to 4, else the first 3 and how many there are. --json has all. */
export const few = (texts: readonly string[], between = ","): string =>
  texts.length <= 4
    ? texts.join(between)
    : `${texts.slice(0, 3).join(between)}${between}… (${texts.length})`;

/** Prints one record as `key: value` lines, `vnId` as "vn id", or as JSON. */
export function showOne(record: object, { json, print }: Output): void {
  if (json) {
    print(toJson(record));
    return;
  }
  const lines = Object.entries(record).map(([key, value]) => [spaced(key), plain(value)] as const);
  const width = Math.max(...lines.map(([key]) => key.length)) + 1;
  for (const [key, value] of lines) print(`${`${key}:`.padEnd(width + 1)}${value}`);
}

/** JSON with bigints as numbers (all of ours are below 2^53) and octets as hex digits. */
export function toJson(value: unknown): string {
  return JSON.stringify(
    value,
    function (this: Record<string, unknown>, key, given: unknown) {
      const own = this[key]; // before Buffer's toJSON has had it
      if (own instanceof Uint8Array) return Buffer.from(own).toString("hex");
      return typeof given === "bigint" ? Number(given) : given;
    },
    2,
  );
}

const spaced = (key: string): string =>
  key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

const plain = (value: unknown): string =>
  typeof value === "object" && value !== null ? toJson(value) : printable(String(value ?? ""));

/** What came over the wire may hold control characters: a terminal must not obey them. */
function printable(cell: string | number | undefined): string {
  if (cell === undefined || cell === "") return "-";
  return String(cell).replace(/\p{Cc}/gu, "?");
}

import { type Outcome, run } from "@nve/lab/shell";

/** Rows of a capture file, one field each, as tshark dissects them. @throws with its message */
export async function dissect(
  path: string,
  filter: string,
  ...fields: string[]
): Promise<string[][]> {
  const words = [
    "-r",
    path,
    "-T",
    "fields",
    "-E",
    "separator=|",
    "-E",
    "occurrence=a",
    "-Y",
    filter,
  ];
  const { code, stdout, stderr }: Outcome = await run("tshark", [
    ...words,
    ...fields.flatMap((field) => ["-e", field]),
  ]);
  if (code !== 0) throw new Error(`tshark: ${stderr}`);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("|"));
}

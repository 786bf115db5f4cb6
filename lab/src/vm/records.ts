import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { stateFolder } from "../state.ts";
import type { Vm } from "./declared.ts";

// What VMs a lab that is up has been given beside those of its topology file. They go with the lab's other state.

const vm = z.object({
  name: z.string(),
  server: z.string(),
  mac: z.string(),
  addresses: z.array(z.string()),
  memoryMb: z.number(),
});

const folderOf = (lab: string): string => join(stateFolder, lab, "vms");

export function record(lab: string, one: Vm): void {
  mkdirSync(folderOf(lab), { recursive: true });
  writeFileSync(join(folderOf(lab), `${one.name}.json`), JSON.stringify(one));
}

export function recorded(lab: string): readonly Vm[] {
  try {
    return readdirSync(folderOf(lab))
      .sort()
      .map((name) => vm.parse(JSON.parse(readFileSync(join(folderOf(lab), name), "utf8"))));
  } catch {
    return []; // none was ever added
  }
}

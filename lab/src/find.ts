import { existsSync, readdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { NotFound } from "@nve/program/errors";

/** Where the labs of this repository are, each a folder with a `<name>.clab.yml`. */
export const labFolder = resolve(import.meta.dirname, "..");

/** @param given the name of a folder under lab/, or the path of a topology file */
export function findTopology(given: string): string {
  const own = fileOf(given);
  if (basename(given) === given && existsSync(own)) return own;
  if (/\.ya?ml$/.test(given) && existsSync(given)) return resolve(given);
  throw new NotFound(
    `no topology ${given}: give the path of a .clab.yml file, or one of ${topologies().join(", ")}`,
  );
}

/** Names of the labs of this repository. */
export function topologies(): readonly string[] {
  return readdirSync(labFolder)
    .filter((name) => existsSync(fileOf(name)))
    .sort();
}

const fileOf = (name: string): string => join(labFolder, name, `${name}.clab.yml`);

import { execFile } from "node:child_process";
import type { LibvirtConfig } from "./config.ts";
import { MAX_XML } from "./xml.ts";

/** What libvirt is asked, to read only. Each rejects with virsh's words when it cannot be asked, after 5 s at the latest. */
export interface Domains {
  /** Names of those that run. */
  running(): Promise<string[]>;
  isRunning(domain: string): Promise<boolean>;
  xml(domain: string): Promise<string>;
}

const ANSWER_MS = 5000;

export function domainsOf({ virsh, uri }: Pick<LibvirtConfig, "virsh" | "uri">): Domains {
  const ask = (...words: string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      const options = {
        timeout: ANSWER_MS,
        maxBuffer: MAX_XML,
        env: { ...process.env, LC_ALL: "C" },
      };
      execFile(virsh, ["-r", "-c", uri, ...words], options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(stderr.trim() || error.message, { cause: error }));
      });
    });
  return {
    running: async () => {
      const names = (await ask("list", "--name", "--state-running")).split("\n");
      return names.filter((name) => name !== "");
    },
    isRunning: async (domain) => (await ask("domstate", "--domain", domain)).trim() === "running",
    xml: (domain) => ask("dumpxml", "--domain", domain),
  };
}

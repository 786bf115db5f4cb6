import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { nodeState } from "@nve/lab/labs";
import { spawnIn } from "@nve/lab/namespaces";
import { logOf } from "@nve/lab/state";
import { call, connect } from "@nve/program";
import { CreateVnRequest, NorthboundClient } from "@nve/protocol-spec/proto/northbound";
import { type TestLab, until } from "./lab.ts";

export const nvas = ["nva", "nva2", "nva3"] as const;
export const tors = ["tor1", "tor2"] as const;

/** A client of an NVA of the lab, by its control socket, from without. */
export function northboundOf(lab: TestLab, node: string): NorthboundClient {
  const { pid } = nodeState(lab.name, node).holder;
  return connect(NorthboundClient, `unix:/proc/${pid}/root/run/split-nve/nva.sock`);
}

/** The node whose replica decides. */
export function decider(lab: TestLab, timeoutMs = 10_000): Promise<string> {
  return until(
    "a replica that decides",
    async () => {
      for (const node of nvas) {
        const client = northboundOf(lab, node);
        try {
          const { nvaId } = await call(client, client.status, {}, 500);
          return nvaId === "nva1" ? "nva" : nvaId;
        } catch {
          // another may know
        } finally {
          client.close();
        }
      }
      return undefined;
    },
    timeoutMs,
  );
}

/** When a ToR's NVA was there again, milliseconds after `since` (Date.now()). */
export function backAfter(lab: TestLab, tor: string, since: number): Promise<number> {
  return until(
    `${tor} to have its NVA back`,
    () => {
      const told = messages(lab, tor).filter(({ time }) => time >= since);
      const back = told.findLast(({ msg }) => msg === "NVA connected");
      const lost = told.findLast(({ msg }) => msg === "NVA lost");
      return back !== undefined && back.time >= (lost?.time ?? 0) ? back.time - since : undefined;
    },
    15_000,
  );
}

export const lostSince = (lab: TestLab, tor: string, since: number): boolean =>
  messages(lab, tor).some(({ time, msg }) => time >= since && msg === "NVA lost");

function messages(lab: TestLab, node: string): { time: number; msg: string }[] {
  const lines = readFileSync(logOf(lab.name, node), "utf8").split("\n");
  return lines.flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
}

/** Echo requests each 20 ms, until the end of it. */
export function pinging(lab: TestLab, from: string, to: string) {
  const words = ["ping", "-q", "-n", "-i0.02", to];
  const child = spawnIn(nodeState(lab.name, from), words, { stdio: ["ignore", "pipe", "ignore"] });
  let said = "";
  child.stdout?.on("data", (text: Buffer) => {
    said += text;
  });
  return {
    /** What was sent, and how much of it was never answered. */
    async stop(): Promise<{ sent: number; lost: number }> {
      const ended = new Promise((resolve) => child.once("close", resolve));
      child.kill("SIGINT");
      await ended;
      const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(said) ?? [];
      if (sent === undefined) throw new Error(`ping said: ${said}`);
      // The last one may have been on its way.
      return { sent: Number(sent), lost: Math.max(0, Number(sent) - Number(received) - 1) };
    },
  };
}

/** Makes VNs one after another, each until it is acknowledged, at whichever NVA answers. */
export function writing(lab: TestLab, prefix: string) {
  const clients = nvas.map((node) => northboundOf(lab, node));
  const acknowledged: string[] = [];
  let longestMs = 0;
  let over = false;
  let at = 0;

  const one = async (alias: string): Promise<void> => {
    for (;;) {
      const client = clients[at % clients.length];
      if (client === undefined) return;
      try {
        await call(client, client.createVn, CreateVnRequest.create({ alias }), 700);
        return;
      } catch (error) {
        if (/has a VN/.test(String(error))) return; // an earlier try, whose answer was lost
        at += 1;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  const work = (async () => {
    for (let n = 1; !over; n++) {
      const begun = performance.now();
      await one(`${prefix}${n}`);
      longestMs = Math.max(longestMs, performance.now() - begun);
      acknowledged.push(`${prefix}${n}`);
    }
  })();
  return {
    get count() {
      return acknowledged.length;
    },
    /** @returns how many were acknowledged, those of them that are not there, and the longest wait for one */
    async stop(): Promise<{ acknowledged: number; missing: string[]; longestMs: number }> {
      over = true;
      await work;
      const there = new Set(await aliases(clients));
      for (const client of clients) client.close();
      const missing = acknowledged.filter((alias) => !there.has(alias));
      return { acknowledged: acknowledged.length, missing, longestMs: Math.round(longestMs) };
    },
  };
}

/** As whoever answers first has them. */
async function aliases(clients: readonly NorthboundClient[]): Promise<string[]> {
  const found: string[] = [];
  let pageToken = "";
  do {
    const request = { pageSize: 1000, pageToken };
    const page = await until(
      "the list of VNs",
      async () => {
        for (const client of clients) {
          const some = await call(client, client.listVns, request, 2_000).catch(() => undefined);
          if (some !== undefined) return some;
        }
        return undefined;
      },
      15_000,
    );
    found.push(...page.vns.map(({ alias }) => alias));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return found;
}

/** The programs of the nodes of a lab, to be hurt and started again; what they say stays in their logs. */
export function victims(lab: TestLab) {
  const started = new Map<string, number>();
  const pidOf = (node: string): number => {
    const pid = started.get(node) ?? nodeState(lab.name, node).process?.pid;
    if (pid === undefined) throw new Error(`${node} runs no program`);
    return pid;
  };
  return {
    signal: (node: string, name: NodeJS.Signals): void => void process.kill(pidOf(node), name),
    async kill(node: string): Promise<void> {
      const pid = pidOf(node);
      process.kill(pid, "SIGKILL");
      await until(`the program of ${node} to end`, () => !existsSync(`/proc/${pid}`) || undefined);
    },
    /** Resolves when it runs; it may have to find others yet. */
    start(node: string): void {
      const state = nodeState(lab.name, node);
      const log = openSync(logOf(lab.name, node), "a");
      const child = spawnIn(state, state.cmd ?? [], { stdio: ["ignore", log, log] });
      closeSync(log);
      if (child.pid !== undefined) started.set(node, child.pid);
    },
  };
}

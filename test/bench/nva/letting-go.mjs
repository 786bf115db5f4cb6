// Letting go of very many VNICs at once: how long it takes, the longest turn of the NVA's event loop meanwhile, and how
// long another NVE's question waits at most.
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, connect } from "@nve/program/rpc";
import { Kind, Policy } from "@nve/protocol-spec/proto/northbound";
import { LookupRequest, NveClient } from "@nve/protocol-spec/proto/nve";
import {
  after,
  claimAll,
  createVns,
  file,
  macOf,
  nveSession,
  round,
  until,
  withNva,
} from "./rig.mjs";

const COUNT = 100_000;
const NVES = 10;

/** @returns a row for each reason to let go */
export async function lettingGo(store, reasons = Object.keys(act)) {
  const rows = [];
  for (const why of reasons) rows.push(await measured(store, why));
  return rows;
}

async function measured(store, why) {
  const turns = join(tmpdir(), `turns-${process.pid}`);
  process.env.NODE_OPTIONS = `--import=${file("./turns.mjs")}`;
  process.env.BENCH_TURNS = turns;
  const more = { holdSeconds: 3 };
  const nves = why === "complete report" ? 1 : NVES;
  return withNva(store, (nva) => once(nva, why, nves, turns), { more }).finally(() => {
    delete process.env.NODE_OPTIONS;
  });
}

async function once(nva, why, nves, turns) {
  await createVns(nva, 1);
  const sessions = [];
  for (let n = 0; n < nves; n++) {
    const session = await nveSession(nva.address, `tor${n}`, `10.0.0.${n + 1}`);
    const count = COUNT / nves;
    await claimAll(session, { count, first: n * count });
    sessions.push(session);
  }
  const other = connect(NveClient, nva.address);
  const { northbound } = nva;
  const count = async () => Number((await call(northbound, northbound.status, {}, 60_000)).claims);
  let told = 0;
  const turn = async () => {
    nva.child.kill("SIGUSR2");
    told += 1;
    let lines = [];
    await until(
      "the turns",
      () => {
        try {
          lines = readFileSync(turns, "utf8").trim().split("\n");
        } catch {}
        return lines.length >= told;
      },
      60_000,
    );
    return Number(lines.at(-1));
  };
  await after(500);
  told = (() => {
    try {
      return readFileSync(turns, "utf8").trim().split("\n").length;
    } catch {
      return 0;
    }
  })();
  await turn();
  let longestMs = 0;
  let over = false;
  const asking = (async () => {
    while (!over) {
      const begin = performance.now();
      const address = { $case: "mac", value: macOf(5) };
      await call(other, other.lookup, LookupRequest.create({ vnId: 1, address }), 60_000).catch(
        () => {},
      );
      longestMs = Math.max(longestMs, performance.now() - begin);
      await after(5);
    }
  })();
  const begin = performance.now();
  await act[why](nva, sessions);
  if (why === "NVEs lost")
    await until("all to be gone", async () => (await count()) === 0, 120_000);
  const ms = performance.now() - begin;
  await after(1000);
  over = true;
  await asking;
  const longestTurnMs = await turn();
  const left = await count();
  for (const session of sessions) session.close();
  other.close();
  return { why, left, ms: Math.round(ms), longestTurnMs, longestWaitMs: round(longestMs) };
}

const act = {
  policy: ({ northbound }) => {
    const spec = Policy.create({
      name: "out",
      deny: true,
      priority: 1,
      vns: ["*"],
      hypervisors: ["*"],
      nves: ["*"],
      ports: ["*"],
      vnics: ["*"],
      stations: ["*"],
    });
    const resource = {
      key: { kind: Kind.KIND_POLICY, key: "out" },
      revision: 0n,
      of: { $case: "policy", value: spec },
    };
    return call(northbound, northbound.putResource, { resource }, 120_000);
  },
  "VN deleted": ({ northbound }) =>
    call(
      northbound,
      northbound.deleteVn,
      { vn: { ref: { $case: "vnId", value: 1 } }, force: true },
      120_000,
    ),
  "NVEs lost": async (_, sessions) => {
    for (const session of sessions) session.close();
  },
  "complete report": async ({ address }, sessions) => {
    const again = await nveSession(address, "tor0", "10.0.0.1");
    sessions.push(again);
    await (await again.report({ joinedVns: [1], complete: true })).ack;
  },
};

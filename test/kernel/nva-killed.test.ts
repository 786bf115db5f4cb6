import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, connect } from "@nve/program";
import { answers } from "@nve/program/answers";
import { IpAddress, ipOctets } from "@nve/protocol-spec";
import {
  CreateVnRequest,
  ListClaimsRequest,
  NorthboundClient,
} from "@nve/protocol-spec/proto/northbound";
import { type NvaMessage, NveClient, NveMessage, Report } from "@nve/protocol-spec/proto/nve";
import { Claim } from "@nve/protocol-spec/proto/types";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleNva, nvaProcess } from "../model/one-nva.ts";
import { until } from "../support/lab.ts";

// Kills come while commits are under way: a report each as soon as the last one is acknowledged, of 1 to 40 claims.
const kills = 201;
const atOnce = 3;
const mostClaims = 40;

let program: Awaited<ReturnType<typeof bundleNva>>;
beforeAll(async () => {
  program = await bundleNva();
});
afterAll(() => program.remove());

test(`an NVA over lmdb that is killed ${kills} times while it commits has lost nothing that it acknowledged`, async () => {
  const each = Array.from({ length: atOnce }, (_, i) => killedAgainAndAgain(i, kills / atOnce));
  const outcomes = (await Promise.allSettled(each)).map((one) => {
    if (one.status === "rejected") throw one.reason;
    return one.value;
  });
  const sum = (of: (one: Outcome) => number) => outcomes.reduce((all, one) => all + of(one), 0);
  process.stdout.write(
    `killed ${sum((one) => one.kills)} times; acknowledged claims: ${sum((one) => one.acknowledged)}, ` +
      `of them lost: ${sum((one) => one.lost.length)}; stored without an acknowledgement: ${sum((one) => one.beyond)}\n`,
  );
  expect(outcomes.flatMap(({ lost }) => lost)).toEqual([]);
  expect(sum((one) => one.acknowledged)).toBeGreaterThan(kills);
}, 600_000);

type Outcome = { kills: number; acknowledged: number; lost: string[]; beyond: number };

async function killedAgainAndAgain(n: number, times: number): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "nva-killed-"));
  const store = { use: "lmdb", path: join(folder, "store") };
  const nva = nvaProcess(folder, program.path, "nva", store, { holdSeconds: 3_600 });
  const acknowledged = new Set<string>();
  const random = randomFrom(n + 1);
  let next = 0;
  /** On a machine that is busy, later. */
  const start = () =>
    nva
      .start()
      .catch(() =>
        until(
          "an NVA that was killed to start again",
          async () => (await answers(nva.address.slice("unix:".length))) || undefined,
          60_000,
        ),
      );
  try {
    await start();
    await northbound(nva.address, (client) =>
      call(client, client.createVn, CreateVnRequest.create({ alias: "blue", vnId: 1 })),
    );
    for (let kill = 0; kill < times; kill++) {
      if (kill > 0) await start();
      const session = reporting(nva.address, () => {
        next += 1 + random(mostClaims);
        return Array.from({ length: 1 + random(mostClaims) }, () => next++);
      });
      await session.begun;
      await new Promise((resolve) => setTimeout(resolve, random(40)));
      await nva.stop("SIGKILL");
      for (const claim of await session.end()) acknowledged.add(claim);
    }
    await start();
    const there = new Set(await northbound(nva.address, claimsAt));
    const lost = [...acknowledged].filter((claim) => !there.has(claim));
    const beyond = there.size - acknowledged.size + lost.length;
    return { kills: times, acknowledged: acknowledged.size, lost, beyond };
  } finally {
    await nva.stop("SIGKILL");
    rmSync(folder, { recursive: true });
  }
}

const macOf = (n: number): string => n.toString(16).padStart(10, "0").padStart(12, "02");
const ipOf = (n: number): Buffer =>
  Buffer.from(ipOctets(IpAddress(`10.0.${(n >> 8) & 255}.${n & 255}`)));
const claimOf = (n: number): Claim =>
  Claim.create({ vnId: 1, mac: Buffer.from(macOf(n), "hex"), ips: [ipOf(n)] });
const shown = ({ mac, ips }: Claim): string =>
  `${mac.toString("hex")} ${ips.map((ip) => ip.toString("hex"))}`;

/** An NVE that reports without a pause. `begun`: a report is acknowledged. */
function reporting(address: string, numbers: () => number[]) {
  const client = connect(NveClient, address);
  const stream = client.connect();
  const acknowledged: string[] = [];
  let under: Claim[] = [];
  let serial = 0n;
  let begin = (): void => {};
  const send = (message: NonNullable<NveMessage["message"]>) =>
    stream.write(NveMessage.create({ message }));
  const report = (): void => {
    serial += 1n;
    under = numbers().map(claimOf);
    send({ $case: "report", value: Report.create({ serial, claims: under }) });
  };
  const ended = new Promise<void>((resolve) => {
    stream.on("error", () => resolve());
    stream.on("end", () => resolve());
  });
  stream.on("data", ({ message }: NvaMessage) => {
    if (message?.$case === "ack") {
      acknowledged.push(...under.map(shown));
      begin();
    }
    if (message?.$case === "ack" || message?.$case === "welcome") report();
  });
  const location = { nveId: "tor1", vteps: [ipOf(1)], encapsulations: [1] };
  const incarnation = Buffer.alloc(16, 7);
  send({ $case: "hello", value: { versionMin: 1, versionMax: 1, location, incarnation } });
  return {
    begun: new Promise<void>((resolve) => {
      begin = resolve;
    }),
    async end(): Promise<readonly string[]> {
      await ended;
      client.close();
      return acknowledged;
    },
  };
}

async function claimsAt(client: NorthboundClient): Promise<string[]> {
  const found: string[] = [];
  let pageToken = "";
  do {
    const request = ListClaimsRequest.create({ pageSize: 1000, pageToken });
    const page = await call(client, client.listClaims, request);
    found.push(...page.claims.flatMap(({ claim }) => (claim === undefined ? [] : shown(claim))));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return found;
}

async function northbound<T>(
  address: string,
  ask: (client: NorthboundClient) => Promise<T>,
): Promise<T> {
  const client = connect(NorthboundClient, address);
  try {
    return await ask(client);
  } finally {
    client.close();
  }
}

/** The same numbers each time: 0 … below − 1. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

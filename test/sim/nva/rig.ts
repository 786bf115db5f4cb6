import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type grpc from "@grpc/grpc-js";
import { NvaConfig } from "@nve/nva/config";
import { type Nva, startNva } from "@nve/nva/nva";
import { connect, createLog } from "@nve/program";
import { IpAddress, ipOctets, Mac, macOctets, Uuid, uuidOctets } from "@nve/protocol-spec";
import { NorthboundClient } from "@nve/protocol-spec/proto/northbound";
import {
  type NvaMessage,
  NveClient,
  NveMessage,
  Report,
  type WatchEvent,
  WatchRequest,
} from "@nve/protocol-spec/proto/nve";
import { Claim } from "@nve/protocol-spec/proto/types";
import { fakeClock } from "../../support/fake-clock.ts";

export const macOf = (n: number): Buffer => Buffer.from([2, 0, 0, 0, n >> 8, n & 0xff]);
export const mac = (text: string): Buffer => Buffer.from(macOctets(Mac(text)));
export const ip = (text: string): Buffer => Buffer.from(ipOctets(IpAddress(text)));
export const uuid = (text: string): Buffer => Buffer.from(uuidOctets(Uuid(text)));
export const claim = (n: number, more: Partial<Claim> = {}): Claim =>
  Claim.create({ vnId: 1, mac: macOf(n), ...more });

/** An NVA on a unix socket of its own, on a clock that the test moves. */
export async function rig(store: "memory" | "lmdb" = "memory") {
  const folder = mkdtempSync(join(tmpdir(), "nva-"));
  const address = `unix:${join(folder, "nva.sock")}`;
  const clock = fakeClock();
  const use = store === "memory" ? { use: "memory" } : { use: "lmdb", path: join(folder, "store") };
  const config = NvaConfig.parse({ socket: address, store: use, holdSeconds: 10 });
  const start = () => startNva(config, clock, createLog("test", "silent"));
  let nva: Nva = await start();
  const clients: grpc.Client[] = [];

  function nveClient(): NveClient {
    const client = connect(NveClient, address);
    clients.push(client);
    return client;
  }
  function northbound(): NorthboundClient {
    const client = connect(NorthboundClient, address);
    clients.push(client);
    return client;
  }

  return {
    address,
    clock,
    nveClient,
    northbound: northbound(),
    connect: () => session(nveClient().connect()),
    /** A session that has been welcomed. */
    async nve(id: string, vtep: string) {
      const nve = session(nveClient().connect());
      nve.hello(id, vtep);
      await nve.inbox.next((message) => message.message?.$case === "welcome");
      return nve;
    },
    watch: (id: string) => watching(nveClient().watch(), id),
    async restart() {
      await nva.stop();
      nva = await start();
    },
    async stop() {
      for (const client of clients) client.close();
      await nva.stop();
      rmSync(folder, { recursive: true });
    },
  };
}
export type Rig = Awaited<ReturnType<typeof rig>>;

/** What a stream brings, to be awaited; its end or error too. */
class Inbox<Request, T> {
  readonly seen: T[] = [];
  readonly ended: Promise<string>;
  #at = 0;
  #wake = (): void => {};
  #end: string | undefined;

  constructor(call: grpc.ClientDuplexStream<Request, T>) {
    call.on("data", (message: T) => {
      this.seen.push(message);
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#end ??= how;
        resolve(this.#end);
        this.#wake();
      };
      call.on("error", (error: grpc.ServiceError) => end(`${error.code} ${error.details}`));
      call.on("end", () => end("end"));
    });
  }

  /** The next message that fits; those before it are passed over. */
  async next(fits: (message: T) => boolean = () => true): Promise<T> {
    for (;;) {
      for (; this.#at < this.seen.length; this.#at++) {
        const message = this.seen[this.#at];
        if (message !== undefined && fits(message)) {
          this.#at += 1;
          return message;
        }
      }
      if (this.#end !== undefined) throw new Error(`the stream has ended: ${this.#end}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

export function session(call: grpc.ClientDuplexStream<NveMessage, NvaMessage>) {
  const inbox = new Inbox(call);
  let serial = 0n;
  const send = (message: NonNullable<NveMessage["message"]>): void => {
    call.write(NveMessage.create({ message }));
  };
  return {
    call,
    inbox,
    send,
    hello(id: string, vtep: string, more = {}) {
      const location = { nveId: id, vteps: [ip(vtep)], encapsulations: [1] };
      const incarnation = uuid("00000000-0000-4000-8000-000000000001");
      const value = { versionMin: 1, versionMax: 1, location, incarnation, ...more };
      send({ $case: "hello", value });
    },
    alive: () => send({ $case: "alive", value: {} }),
    report(report: Partial<Report>) {
      serial += 1n;
      send({ $case: "report", value: Report.create({ serial, ...report }) });
    },
    /** Reports, and waits until it is stored. */
    async told(report: Partial<Report>) {
      this.report(report);
      const { message } = await inbox.next(({ message: m }) => m?.$case === "ack");
      if (message?.$case !== "ack") throw new Error("no ack");
      return message.value;
    },
  };
}

export function watching(call: grpc.ClientDuplexStream<WatchRequest, WatchEvent>, nveId: string) {
  const inbox = new Inbox(call);
  return {
    call,
    inbox,
    ask: (request: Partial<WatchRequest>) => call.write(WatchRequest.create({ nveId, ...request })),
    kinds: () => inbox.seen.map(({ event }) => event?.$case),
    async delta(fits: (text: string) => boolean = () => true) {
      const { event } = await inbox.next(
        (one) => one.event?.$case === "delta" && fits(readable(one)),
      );
      if (event?.$case !== "delta") throw new Error("no delta");
      return event.value;
    },
    async until(kind: "snapshotBegin" | "snapshotEnd" | "bookmark") {
      const { event } = await inbox.next((one) => one.event?.$case === kind);
      if (event === undefined || event.$case === "delta") throw new Error("no such event");
      return event.value;
    },
  };
}

/** A watch event in short: `vn 1 +02..01@tor1 -02..02 joined tor1 left tor2`. */
export function readable({ event }: WatchEvent): string {
  if (event?.$case !== "delta") return event?.$case ?? "";
  const { vnId, vn, vnGone, mappings, withdrawn, members, membersLeft } = event.value;
  return [
    `vn ${vnId}`,
    ...(vn === undefined ? [] : [`is ${vn.alias}`]),
    ...(vnGone ? ["gone"] : []),
    ...members.map(({ nveId }) => `joined ${nveId}`),
    ...membersLeft.map((nveId) => `left ${nveId}`),
    ...mappings.map(
      (m) =>
        `+${m.mac.readUInt16BE(4)}@${m.locations.map(({ nveId }) => nveId).join("+")}${m.stale ? " stale" : ""}`,
    ),
    ...withdrawn.map((octets) => `-${octets.readUInt16BE(4)}`),
  ].join(" ");
}

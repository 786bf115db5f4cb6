import type grpc from "@grpc/grpc-js";
import { connect } from "@nve/program/rpc";
import {
  type Disconnect,
  type NvaMessage,
  NveClient,
  NveMessage,
  Report,
  type ReportAck,
} from "@nve/protocol-spec/proto/nve";
import { type Content, claimText, keyOf, partsOf } from "./book.ts";
import { claimToWire } from "./claim-wire.ts";
import type { Register, Write } from "./register.ts";
import type { World } from "./world.ts";

/** Claims to make (and with which sequence), keys to withdraw, VNs to leave. */
export type Change = {
  claims?: readonly { key: string; content: Content; sequence: number }[];
  withdrawn?: readonly string[];
  left?: readonly number[];
};

type Stream = grpc.ClientDuplexStream<NveMessage, NvaMessage>;
/** `none`: where it may not be let in, it may be that with it goes what was there before. */
type Sent = {
  order: number;
  writes: { write: Write; none?: Write | undefined; key?: string; vn: number }[];
  complete: boolean;
};

/** An NVE as nve.proto has it, and the book of what it said. */
export class SimNve {
  readonly id: string;
  readonly vtep: string;
  readonly #world: World;
  /** What it wants to be known. */
  readonly #wanted = new Map<string, { content: Content; sequence: number }>();
  readonly #joined = new Set<number>();
  #client: NveClient | undefined;
  #stream: Stream | undefined;
  #welcomed = false;
  #serial = 0n;
  readonly #unacked = new Map<bigint, Sent>();
  /** Whose effect is not told and may come yet. */
  #lost: Write[] = [];
  #incarnation = Buffer.alloc(16, 1);
  readonly #timer: NodeJS.Timeout;
  #heard = 0;
  #lostAt = 0;
  #alive = false;
  /** It reported all that it has, in this session. */
  complete = false;

  constructor(id: string, vtep: string, world: World) {
    this.id = id;
    this.vtep = vtep;
    this.#world = world;
    this.#timer = setInterval(() => this.#check(), 100);
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** All that it said is answered. */
  get settled(): boolean {
    return this.complete && this.#unacked.size === 0;
  }

  get wanted(): ReadonlyMap<string, { content: Content; sequence: number }> {
    return this.#wanted;
  }

  get joined(): ReadonlySet<number> {
    return this.#joined;
  }

  /** Comes up, with a new incarnation or the one that it had. */
  start(anew: boolean): void {
    if (this.#alive) return;
    this.#alive = true;
    if (anew) this.#incarnation = Buffer.from(this.#incarnation.map((octet) => octet + 1));
    this.#connect();
  }

  /** Goes away without a word. `forget`: what it knew goes with it. */
  stop(forget: boolean): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#drop("it was stopped");
    if (forget) {
      this.#wanted.clear();
      this.#joined.clear();
    }
  }

  /** Cuts the session; it comes back at once. */
  cut(): void {
    if (this.#stream !== undefined) this.#drop("its connection was cut");
  }

  /** Wants this from now on, and says so if it can. */
  change({ claims = [], withdrawn = [], left = [] }: Change): void {
    const joins = new Set<number>();
    for (const { key, content, sequence } of claims) {
      this.#wanted.set(key, { content, sequence });
      const { vn } = partsOf(key);
      if (!this.#joined.has(vn)) joins.add(vn);
      this.#joined.add(vn);
    }
    for (const key of withdrawn) this.#wanted.delete(key);
    for (const vn of left) this.forget(vn);
    if (this.#welcomed && this.complete)
      this.#report({ claims, withdrawn, left }, [...joins], false);
  }

  /** The VN is gone. */
  forget(vn: number): void {
    this.#joined.delete(vn);
    for (const key of [...this.#wanted.keys()])
      if (partsOf(key).vn === vn) this.#wanted.delete(key);
  }

  /** Says again whatever the NVA may have otherwise. */
  insist(keys: readonly string[], vns: readonly number[]): void {
    const claims = keys.flatMap((key) => {
      const wanted = this.#wanted.get(key);
      return wanted === undefined ? [] : [{ key, ...wanted }];
    });
    const withdrawn = keys.filter((key) => !this.#wanted.has(key));
    const left = vns.filter((vn) => !this.#joined.has(vn));
    const joined = vns.filter((vn) => this.#joined.has(vn));
    this.#report({ claims, withdrawn, left }, joined, false);
  }

  #connect(): void {
    const { addresses, random } = this.#world;
    const all = addresses();
    if (all.length === 0 || !this.#alive) return;
    const address = random.pick(all);
    const client = connect(NveClient, address);
    const stream = client.connect();
    this.#client = client;
    this.#stream = stream;
    this.#welcomed = false;
    this.complete = false;
    this.#serial = 0n;
    this.#heard = performance.now();
    const lost = (why: string) => () => {
      if (this.#stream === stream) this.#drop(why);
    };
    stream.on("data", (message) => {
      if (this.#stream === stream) this.#world.watchful(() => this.#hear(message));
    });
    stream.on("error", (error: grpc.ServiceError) => lost(error.details)());
    stream.on("end", lost("the NVA ended it"));
    this.#send({
      $case: "hello",
      value: {
        versionMin: 1,
        versionMax: 1,
        location: {
          nveId: this.id,
          vteps: [Buffer.from(this.vtep.split(".").map(Number))],
          encapsulations: [1],
        },
        incarnation: this.#incarnation,
      },
    });
  }

  #check(): void {
    this.expire();
    if (this.#stream === undefined) this.#connect();
    else if (performance.now() - this.#heard > 3000) this.#drop("nothing heard for 3 s");
    else if (this.#welcomed) this.#send({ $case: "alive", value: {} });
  }

  #drop(why: string): void {
    const { trace } = this.#world;
    if (this.#welcomed) {
      trace.say(`${this.id} lost its session: ${why}`);
      this.#world.drops += 1;
    }
    this.#stream?.cancel();
    this.#client?.close();
    this.#stream = undefined;
    if (this.#welcomed) this.#lostAt = this.#heard; // the NVA may have missed it since
    for (const { writes } of this.#unacked.values())
      for (const { write, none } of writes) {
        write.maybe = true;
        this.#lost.push(write, ...(none ? [none] : []));
      }
    this.#unacked.clear();
    this.#welcomed = false;
    this.complete = false;
  }

  #hear({ message }: NvaMessage): void {
    this.#heard = performance.now();
    if (message?.$case === "welcome") this.#welcome();
    else if (message?.$case === "ack") this.#ack(message.value);
    else if (message?.$case === "disconnect") this.#disconnect(message.value);
  }

  /** It lets go of them, as the NVA has done already. */
  #disconnect({ vnId, vnics, reason }: Disconnect): void {
    this.#world.trace.say(`${this.id} is to let go of ${vnics.length} VNICs: ${reason}`, {
      vn: vnId,
    });
    for (const key of [...this.#wanted.keys()]) {
      const vnic = Buffer.from(this.#wanted.get(key)?.content.vnic ?? "", "hex");
      if (partsOf(key).vn === vnId && vnics.some((one) => one.equals(vnic)))
        this.#wanted.delete(key);
    }
  }

  /** What was under way in the session before has taken effect by now, or never will. */
  #welcome(): void {
    const order = this.#world.trace.say(`${this.id} is welcome`);
    for (const write of this.#lost) write.ended = order;
    this.#lost = [];
    this.#welcomed = true;
    this.#expiring();
    const claims = [...this.#wanted].map(([key, wanted]) => ({ key, ...wanted }));
    const half = this.#world.random.below(claims.length + 1);
    if (half > 0) this.#report({ claims: claims.slice(0, half) }, [...this.#joined], false);
    this.complete = true;
    this.#report({ claims: claims.slice(half) }, half > 0 ? [] : [...this.#joined], true);
  }

  #report({ claims = [], withdrawn = [], left = [] }: Change, joined: number[], complete: boolean) {
    const { book, freezes, trace } = this.#world;
    this.#serial += 1n;
    const order = trace.tick();
    const sent: Sent = { order, writes: [], complete };
    const put = (vn: number, key: string, value: string | undefined): void => {
      const write = book.begin(book.claim(this.id, key), this.id, value, order);
      const none = value === undefined ? undefined : book.beginRefusal(this.id, key, write);
      sent.writes.push({ write, none, key, vn });
      if (value !== undefined) freezes.claimed(key);
      trace.say(
        `${this.id} #${this.#serial} ${value === undefined ? "withdraws" : `claims "${value}"`}`,
        partsOf(key),
      );
    };
    const member = (vn: number, value: string | undefined): void => {
      sent.writes.push({ write: book.begin(book.member(this.id, vn), this.id, value, order), vn });
      trace.say(`${this.id} #${this.#serial} ${value === undefined ? "leaves" : "joins"} VN`, {
        vn,
      });
    };
    for (const vn of left) {
      for (const key of book.keys()) if (partsOf(key).vn === vn) put(vn, key, undefined);
      member(vn, undefined);
    }
    for (const vn of joined) member(vn, "member");
    for (const key of withdrawn) put(partsOf(key).vn, key, undefined);
    for (const { key, content } of claims) put(partsOf(key).vn, key, claimText(content));
    if (complete) this.#completes(put, member);
    this.#unacked.set(this.#serial, sent);
    const value = Report.create({
      serial: this.#serial,
      claims: claims.map(({ key, content, sequence }) => claimToWire(key, content, sequence)),
      withdrawn: withdrawn.map((key) => {
        const { vn, mac } = partsOf(key);
        return { vnId: vn, mac: Buffer.from(mac, "hex") };
      }),
      joinedVns: joined,
      leftVns: [...left],
      complete,
    });
    this.#send({ $case: "report", value });
  }

  /** What a complete report does not name is dropped. */
  #completes(
    put: (vn: number, key: string, value: undefined) => void,
    member: (vn: number, value: undefined) => void,
  ): void {
    const { book } = this.#world;
    for (const key of book.keys())
      if (!this.#wanted.has(key) && this.#mayHave(book.claim(this.id, key)))
        put(partsOf(key).vn, key, undefined);
    const vns = new Set([...book.keys()].map((key) => partsOf(key).vn));
    for (const vn of vns)
      if (!this.#joined.has(vn) && this.#mayHave(book.member(this.id, vn))) member(vn, undefined);
  }

  #mayHave(register: Register): boolean {
    const { now } = this.#world.trace;
    return [...register.possible(now, now + 1)].some((value) => value !== undefined);
  }

  #ack({ serial, revision, refused }: ReportAck): void {
    const { trace, book } = this.#world;
    const sent = this.#unacked.get(serial);
    if (sent === undefined)
      throw trace.violation(`${this.id}: an ack of ${serial}, which is not due`);
    if (serial !== [...this.#unacked.keys()][0])
      throw trace.violation(`${this.id}: acks are out of order at ${serial}`);
    this.#unacked.delete(serial);
    const refusals = new Map(
      refused.map(({ key, reason }) => [
        keyOf(key?.vnId ?? 0, key?.mac.toString("hex") ?? ""),
        reason,
      ]),
    );
    const order = trace.say(`${this.id} #${serial} is in the store at revision ${revision}`);
    for (const { write, none, key, vn } of sent.writes) {
      if (none) none.void = true; // it is told
      write.ended = order;
      write.revision = revision;
      const there = book.vnSince(vn, sent.order);
      const denied = book.deniedSince(this.id, vn, sent.order);
      if (write.value === undefined) continue;
      const reason = key === undefined ? undefined : refusals.get(key);
      const isNone = reason !== undefined || (key === undefined && !there.may);
      if (isNone) {
        // No VN: no member, no claim.
        const register = key === undefined ? book.member(this.id, vn) : book.claim(this.id, key);
        register.add({ ...write, value: undefined });
        write.void = true;
      } else if (key === undefined && !there.must) write.maybe = true;
      if (key === undefined) continue;
      const admitted = book.admittedSince(key, write.value, sent.order);
      if (reason !== undefined && there.must && !denied.may && admitted.must)
        throw this.#fault(key, `refused (${reason}), VN ${vn} is there`);
      if (reason === undefined && !admitted.may)
        throw this.#fault(key, `taken, VN ${vn} does not let it in`);
      if (reason === undefined && !there.may)
        throw this.#fault(key, `taken, VN ${vn} is not there`);
      if (reason === undefined && denied.must)
        throw this.#fault(key, `taken, a policy keeps it out of VN ${vn}`);
    }
  }

  #fault(key: string, fault: string): Error {
    return this.#world.trace.violation(`${this.id}: claim of ${key} ${fault}`, partsOf(key));
  }

  /** However long it takes to connect. */
  expire(): void {
    if (!this.#welcomed) this.#expiring();
  }

  /** Its claims may be dropped by now. */
  #expiring(): void {
    const { trace, holdMs, pace } = this.#world;
    const early = marginMs + pace.lagMs;
    if (this.#lostAt === 0 || performance.now() - this.#lostAt < holdMs - early) return;
    this.#lostAt = 0;
    trace.say(`${this.id}: its hold time may be over`);
    this.gone(false);
  }

  /** All that it had is dropped; `sure`: the NVA says so. */
  gone(sure: boolean): void {
    const { book, trace } = this.#world;
    const order = trace.tick();
    const vns = new Set<number>();
    const writes: Write[] = [];
    for (const key of book.keys()) {
      vns.add(partsOf(key).vn);
      writes.push(book.begin(book.claim(this.id, key), this.id, undefined, order));
    }
    for (const vn of vns)
      writes.push(book.begin(book.member(this.id, vn), this.id, undefined, order));
    for (const write of writes) {
      if (sure) write.ended = order;
      else write.maybe = true;
    }
    if (!sure) this.#lost.push(...writes);
    else for (const write of this.#lost.splice(0)) write.ended = order;
  }

  #send(message: NonNullable<NveMessage["message"]>): void {
    this.#stream?.write(NveMessage.create({ message }));
  }

  close(): void {
    clearInterval(this.#timer);
    this.stop(false);
  }
}

/** The NVA may have come to miss it before it knew. */
const marginMs = 1500;

import { NotFound, Refused } from "@nve/program/errors";
import { call, connect } from "@nve/program/rpc";
import {
  Binding,
  CreateVnRequest,
  type Duplicate,
  Kind,
  type ListEventsResponse,
  NorthboundClient,
  type NveRecord,
  Policy,
  type SourcedClaim,
  VnSpec,
} from "@nve/protocol-spec/proto/northbound";
import { LookupRequest, type LookupResponse, NveClient } from "@nve/protocol-spec/proto/nve";
import type { Mapping, Vn } from "@nve/protocol-spec/proto/types";
import { modalVn, type Registration } from "./admission.ts";
import { bindingText, mappingText, partsOf } from "./book.ts";
import type { Doubtful } from "./doubts.ts";
import { bindingKey, policyName, registrationOf, shapes, unregistration } from "./resources.ts";
import type { World } from "./world.ts";

/** What orchestration asks of an NVA, each time by a new connection to one of its addresses. */
export class Northbound {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** @returns whether the VN was made by this very call; `undefined`: not known */
  async create(vn: number): Promise<boolean | undefined> {
    const { book, trace } = this.#world;
    const sent = trace.say("a client creates the VN", { vn });
    const write = book.begin(book.vn(vn), `client ${sent}`, "there", sent);
    const shape = book.begin(book.shape(vn), `client ${sent}`, undefined, sent);
    try {
      const made = await this.ask((client) =>
        call(client, client.createVn, CreateVnRequest.create({ alias: `vn${vn}`, vnId: vn }), 4000),
      );
      const ended = trace.say(`VN created at revision ${made.revision}`, { vn });
      for (const one of [write, shape]) Object.assign(one, { ended, revision: made.revision });
      return true;
    } catch (error) {
      const order = trace.say(`VN not created: ${error}`, { vn });
      // "It is there" says what a write of it would.
      const isThere = /already/.test(String(error));
      if (!isThere) {
        this.#doubt([write, shape]);
        return undefined;
      }
      shape.void = true;
      if (!book.vn(vn).possible(sent, order, write).has("there"))
        throw trace.violation(`VN ${vn} is said to be there, it was deleted`, { vn });
      write.ended = order;
      return false;
    }
  }

  /** Puts the VN as it is to be, with this MTU: it is made where it is not there. */
  async put(vn: number, mtu: number, shape: string): Promise<void> {
    const { book, trace } = this.#world;
    const sent = trace.say(`a client puts the VN with MTU ${mtu}, "${shape}"`, { vn });
    const author = `client ${sent}`;
    const writes = [
      book.begin(book.vn(vn), author, "there", sent),
      book.begin(book.shape(vn), author, shape, sent),
    ];
    const keys = vn === modalVn ? [...book.keys()].filter((key) => partsOf(key).vn === vn) : [];
    const judged = book.beginJudging(keys, author, sent);
    const spec = VnSpec.create({ alias: `vn${vn}`, vnId: vn, mtu, ...shapes[shape] });
    const resource = {
      key: { kind: Kind.KIND_VN, key: `default/vn${vn}` },
      revision: 0n,
      of: { $case: "vn" as const, value: spec },
    };
    try {
      const put = await this.ask((client) =>
        call(client, client.putResource, { resource, expected: undefined }, 4000),
      );
      const ended = trace.say(`VN put at revision ${put.revision}`, { vn });
      for (const write of writes) write.ended = ended;
      book.judged(judged, { mode: shape });
    } catch (error) {
      trace.say(`VN not put: ${error}`, { vn });
      this.#doubt([...writes, ...judged.map(({ write }) => write)]);
    }
  }

  async delete(vn: number): Promise<boolean> {
    const { book, trace } = this.#world;
    const sent = trace.say("a client deletes the VN by force", { vn });
    const writes = book.beginDelete(vn, `client ${sent}`, sent);
    const ref = { ref: { $case: "vnId" as const, value: vn } };
    try {
      const { revision } = await this.ask((client) =>
        call(client, client.deleteVn, { vn: ref, force: true }, 4000),
      );
      const order = trace.say(`VN deleted at revision ${revision}`, { vn });
      for (const write of writes) Object.assign(write, { ended: order, revision });
      return true;
    } catch (error) {
      const order = trace.say(`VN not deleted: ${error}`, { vn });
      if (error instanceof NotFound) book.wasNotThere(writes[0]);
      if (!(error instanceof NotFound)) this.#doubt(writes);
      else for (const write of writes) write.ended = order;
      return false;
    }
  }

  /** Expects the VNIC of this address, or (undefined) no more. */
  async register(key: string, registration: Registration | undefined): Promise<void> {
    const { book, trace } = this.#world;
    const about = partsOf(key);
    const sent = trace.say(`a client registers its VNIC with ${registration ?? "nothing"}`, about);
    const author = `client ${sent}`;
    const register = book.registration(key);
    const write = book.begin(register, author, registration, sent);
    const judged = book.beginJudging([key], author, sent);
    const writes = [write, ...judged.map((one) => one.write)];
    try {
      const { revision } = await this.ask((client) =>
        registration === undefined
          ? call(client, client.deleteResource, unregistration(key), 4000)
          : call(client, client.putResource, registrationOf(key, registration), 4000),
      );
      // Of one that was so already the revision is an old one.
      write.ended = trace.say(`registered at revision ${revision}`, about);
      book.judged(judged, { registration });
    } catch (error) {
      const order = trace.say(`not registered: ${error}`, about);
      if (!isNone(error)) return this.#doubt(writes);
      // Its VN was not there, or it was not registered.
      if (registration !== undefined && book.vnSince(about.vn, sent).must)
        throw trace.violation(`VN ${about.vn} is said not to be there`, about);
      if (registration === undefined && !register.possible(sent, order, write).has(undefined))
        throw trace.violation("its VNIC is said not to be registered", about);
      for (const one of writes) one.ended = order;
      for (const one of registration === undefined ? writes.slice(1) : writes) one.void = true;
    }
  }

  /** Ends what is known of duplicates of the address. */
  async clear(key: string): Promise<void> {
    const { freezes, trace } = this.#world;
    const { vn, mac } = partsOf(key);
    trace.say("a client clears its duplicates", { vn, mac });
    const clear = freezes.clears(key);
    const request = {
      vn: { ref: { $case: "vnId" as const, value: vn } },
      mac: Buffer.from(mac, "hex"),
    };
    try {
      await this.ask((client) => call(client, client.clearDuplicate, request, 4000));
      clear.ended = trace.say("they are cleared", { vn, mac });
    } catch (error) {
      const ended = trace.say(`not cleared: ${error}`, { vn, mac });
      if (error instanceof NotFound) clear.ended = ended;
      else this.#doubt([clear]);
    }
  }

  /** What addresses the NVA holds for duplicates. */
  async duplicates(vn: number): Promise<Duplicate[]> {
    const all = await this.ask((client) =>
      call(client, client.listDuplicates, { vn: undefined }, 4000),
    );
    return all.duplicates.filter(({ vnId }) => vnId === vn);
  }

  /** Those after event `after` whose actions and objects begin so, and the number of the last there is. */
  events(after: bigint, action: string, object: string): Promise<ListEventsResponse> {
    const request = { after, pageSize: 1000, action, object };
    return this.ask((client) => call(client, client.listEvents, request, 4000));
  }

  /** Binds an address to an NVE, in place of what it was bound to. */
  bind(key: string, ip: string, nve: string): Promise<void> {
    const { vn, mac } = partsOf(key);
    const content = { ips: [ip], vnic: "", sticky: false, anycast: false, suspended: false };
    const value = Binding.create({
      vn: `default/vn${vn}`,
      mac: Buffer.from(mac, "hex"),
      ips: [Buffer.from(ip, "hex")],
      nveId: nve,
    });
    const resource = {
      ...{ key: bindingKey(key), revision: 0n, note: "" },
      of: { $case: "binding" as const, value },
    };
    return this.#binding(key, bindingText(mappingText(content), nve), (client) =>
      call(client, client.putResource, { resource, expected: undefined }, 4000),
    );
  }

  unbind(key: string): Promise<void> {
    const request = { key: bindingKey(key), force: false, expected: undefined };
    return this.#binding(key, undefined, (client) =>
      call(client, client.deleteResource, request, 4000),
    );
  }

  async #binding(
    key: string,
    value: string | undefined,
    ask: (client: NorthboundClient) => Promise<{ revision: bigint }>,
  ): Promise<void> {
    const { book, trace } = this.#world;
    const about = partsOf(key);
    const sent = trace.say(`a client binds it to "${value ?? "nothing"}"`, about);
    const write = book.begin(book.binding(key), `client ${sent}`, value, sent);
    try {
      const { revision } = await this.ask(ask);
      write.ended = trace.say(`bound at revision ${revision}`, about);
    } catch (error) {
      const order = trace.say(`not bound: ${error}`, about);
      if (isNone(error)) {
        // Its VN was not there, or it was not bound.
        if (value !== undefined && book.vnSince(about.vn, sent).must)
          throw trace.violation(`VN ${about.vn} is said not to be there`, about);
        if (value !== undefined) write.void = true;
        write.ended = order;
        return;
      }
      this.#doubt([write]);
    }
  }

  /** A policy keeps whatever is at this NVE out of the VN: it is acknowledged when all that was there is let go of. */
  async deny(nve: string, vn: number): Promise<void> {
    const { book, trace } = this.#world;
    const sent = trace.say(`a client keeps ${nve} out of the VN`, { vn });
    const writes = book.beginDeny(nve, vn, `client ${sent}`, sent);
    const name = policyName(nve, vn);
    const value = Policy.create({ name, deny: true, nves: [nve], vns: [`default/vn${vn}`] });
    const key = { kind: Kind.KIND_POLICY, key: name };
    const resource = { key, revision: 0n, note: "", of: { $case: "policy" as const, value } };
    try {
      const put = await this.ask((client) =>
        call(client, client.putResource, { resource, expected: undefined }, 4000),
      );
      const order = trace.say(`${nve} is kept out at revision ${put.revision}`, { vn });
      for (const write of writes) write.ended = order;
    } catch (error) {
      trace.say(`${nve} may be kept out or not: ${error}`, { vn });
      this.#doubt(writes);
    }
  }

  /** It may attach there again. */
  async allow(nve: string, vn: number): Promise<void> {
    const { book, trace } = this.#world;
    const sent = trace.say(`a client lets ${nve} into the VN`, { vn });
    const write = book.begin(book.policy(nve, vn), `client ${sent}`, undefined, sent);
    const key = { kind: Kind.KIND_POLICY, key: policyName(nve, vn) };
    try {
      const { revision } = await this.ask((client) =>
        call(client, client.deleteResource, { key, force: false, expected: undefined }, 4000),
      );
      write.ended = trace.say(`${nve} is let in at revision ${revision}`, { vn });
      write.revision = revision;
    } catch (error) {
      const order = trace.say(`${nve} is not let in: ${error}`, { vn });
      if (!(error instanceof NotFound)) return this.#doubt([write]);
      if (!book.policy(nve, vn).possible(sent, order, write).has(undefined))
        throw trace.violation(`the policy against ${nve} is said to be gone`, { vn });
      write.ended = order;
    }
  }

  claims(): Promise<SourcedClaim[]> {
    return this.#pages(async (client, pageToken) => {
      const page = { vn: undefined, pageSize: 1000, pageToken };
      const { claims, nextPageToken } = await call(client, client.listClaims, page, 4000);
      return { rows: claims, nextPageToken };
    });
  }

  mappings(): Promise<Mapping[]> {
    return this.#pages(async (client, pageToken) => {
      const page = { vn: undefined, pageSize: 1000, pageToken };
      const { mappings, nextPageToken } = await call(client, client.listMappings, page, 4000);
      return { rows: mappings, nextPageToken };
    });
  }

  async vns(): Promise<Vn[]> {
    const page = { pageSize: 1000, pageToken: "" };
    return (await this.ask((client) => call(client, client.listVns, page, 4000))).vns;
  }

  async nves(): Promise<NveRecord[]> {
    return (await this.ask((client) => call(client, client.listNves, {}, 4000))).nves;
  }

  async revision(): Promise<bigint> {
    return (await this.ask((client) => call(client, client.status, {}, 4000))).revision;
  }

  /** Asks for one address, as NVEs that pull do. */
  async lookup(key: string, ip?: string): Promise<LookupResponse> {
    const { vn, mac } = partsOf(key);
    const client = connect(NveClient, this.#address());
    try {
      const address =
        ip === undefined
          ? { $case: "mac" as const, value: Buffer.from(mac, "hex") }
          : { $case: "ip" as const, value: Buffer.from(ip, "hex") };
      return await call(client, client.lookup, LookupRequest.create({ vnId: vn, address }), 4000);
    } finally {
      client.close();
    }
  }

  async #pages<T>(
    page: (
      client: NorthboundClient,
      token: string,
    ) => Promise<{ rows: T[]; nextPageToken: string }>,
  ): Promise<T[]> {
    const { rows, nextPageToken } = await this.ask((client) => page(client, ""));
    if (nextPageToken !== "") throw new Error("so few addresses are one page");
    return rows;
  }

  /** These calls failed: they may have had effects, or have them yet. */
  #doubt(writes: readonly Doubtful[]): void {
    this.#world.doubts.add(writes);
  }

  async ask<T>(ask: (client: NorthboundClient) => Promise<T>): Promise<T> {
    const client = connect(NorthboundClient, this.#address());
    try {
      return await ask(client);
    } finally {
      client.close();
    }
  }

  #address(): string {
    const { addresses, random } = this.#world;
    const all = addresses();
    if (all.length === 0) throw new Error("no NVA is up");
    return random.pick(all);
  }
}

/** Something that is to be there is not. */
const isNone = (error: unknown): boolean =>
  (error instanceof Refused || error instanceof NotFound) && /no VN|there is no/.test(`${error}`);

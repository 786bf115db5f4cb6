import { NotFound, Refused } from "@nve/program/errors";
import { call, connect } from "@nve/program/rpc";
import {
  Binding,
  CreateVnRequest,
  Kind,
  NorthboundClient,
  type NveRecord,
  Policy,
  type SourcedClaim,
  VnSpec,
} from "@nve/protocol-spec/proto/northbound";
import { LookupRequest, type LookupResponse, NveClient } from "@nve/protocol-spec/proto/nve";
import type { Mapping, Vn } from "@nve/protocol-spec/proto/types";
import { bindingText, mappingText, partsOf } from "./book.ts";
import type { Write } from "./register.ts";
import type { World } from "./sim-nve.ts";

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
    try {
      const made = await this.#call((client) =>
        call(client, client.createVn, CreateVnRequest.create({ alias: `vn${vn}`, vnId: vn }), 4000),
      );
      write.ended = trace.say(`VN created at revision ${made.revision}`, { vn });
      write.revision = made.revision;
      return true;
    } catch (error) {
      const order = trace.say(`VN not created: ${error}`, { vn });
      // "It is there" says what a write of it would.
      const isThere = /already/.test(String(error));
      if (!isThere) {
        write.maybe = true;
        this.#later(write);
        return undefined;
      }
      if (!book.vn(vn).possible(sent, order, write).has("there"))
        throw trace.violation(`VN ${vn} is said to be there, it was deleted`, { vn });
      write.ended = order;
      return false;
    }
  }

  /** Puts the VN as it is to be, with this MTU: it is made where it is not there. */
  async put(vn: number, mtu: number): Promise<void> {
    const { book, trace } = this.#world;
    const sent = trace.say(`a client puts the VN with MTU ${mtu}`, { vn });
    const write = book.begin(book.vn(vn), `client ${sent}`, "there", sent);
    const spec = VnSpec.create({ alias: `vn${vn}`, vnId: vn, mtu });
    const resource = {
      key: { kind: Kind.KIND_VN, key: `default/vn${vn}` },
      revision: 0n,
      of: { $case: "vn" as const, value: spec },
    };
    try {
      const put = await this.#call((client) =>
        call(client, client.putResource, { resource, expected: undefined }, 4000),
      );
      write.ended = trace.say(`VN put at revision ${put.revision}`, { vn });
    } catch (error) {
      trace.say(`VN not put: ${error}`, { vn });
      write.maybe = true;
      this.#later(write);
    }
  }

  async delete(vn: number): Promise<boolean> {
    const { book, trace } = this.#world;
    const sent = trace.say("a client deletes the VN by force", { vn });
    const writes = book.beginDelete(vn, `client ${sent}`, sent);
    const ref = { ref: { $case: "vnId" as const, value: vn } };
    try {
      const { revision } = await this.#call((client) =>
        call(client, client.deleteVn, { vn: ref, force: true }, 4000),
      );
      const order = trace.say(`VN deleted at revision ${revision}`, { vn });
      for (const write of writes) Object.assign(write, { ended: order, revision });
      return true;
    } catch (error) {
      const order = trace.say(`VN not deleted: ${error}`, { vn });
      if (error instanceof NotFound) book.wasNotThere(writes[0]);
      for (const write of writes) {
        if (error instanceof NotFound) write.ended = order;
        else {
          write.maybe = true;
          this.#later(write);
        }
      }
      return false;
    }
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
      const { revision } = await this.#call(ask);
      write.ended = trace.say(`bound at revision ${revision}`, about);
    } catch (error) {
      const order = trace.say(`not bound: ${error}`, about);
      if (error instanceof Refused && /no VN|there is no/.test(String(error))) {
        // Its VN was not there, or it was not bound.
        if (value !== undefined && book.vnSince(about.vn, sent).must)
          throw trace.violation(`VN ${about.vn} is said not to be there`, about);
        if (value !== undefined) write.void = true;
        write.ended = order;
        return;
      }
      write.maybe = true;
      this.#later(write);
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
      const put = await this.#call((client) =>
        call(client, client.putResource, { resource, expected: undefined }, 4000),
      );
      const order = trace.say(`${nve} is kept out at revision ${put.revision}`, { vn });
      for (const write of writes) write.ended = order;
    } catch (error) {
      trace.say(`${nve} may be kept out or not: ${error}`, { vn });
      for (const write of writes) {
        write.maybe = true;
        this.#later(write);
      }
    }
  }

  /** It may attach there again. */
  async allow(nve: string, vn: number): Promise<void> {
    const { book, trace } = this.#world;
    const sent = trace.say(`a client lets ${nve} into the VN`, { vn });
    const write = book.begin(book.policy(nve, vn), `client ${sent}`, undefined, sent);
    const key = { kind: Kind.KIND_POLICY, key: policyName(nve, vn) };
    try {
      const { revision } = await this.#call((client) =>
        call(client, client.deleteResource, { key, force: false, expected: undefined }, 4000),
      );
      write.ended = trace.say(`${nve} is let in at revision ${revision}`, { vn });
      write.revision = revision;
    } catch (error) {
      const order = trace.say(`${nve} is not let in: ${error}`, { vn });
      if (!(error instanceof NotFound)) {
        write.maybe = true;
        this.#later(write);
        return;
      }
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
    return (await this.#call((client) => call(client, client.listVns, page, 4000))).vns;
  }

  async nves(): Promise<NveRecord[]> {
    return (await this.#call((client) => call(client, client.listNves, {}, 4000))).nves;
  }

  async revision(): Promise<bigint> {
    return (await this.#call((client) => call(client, client.status, {}, 4000))).revision;
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
    const { rows, nextPageToken } = await this.#call((client) => page(client, ""));
    if (nextPageToken !== "") throw new Error("so few addresses are one page");
    return rows;
  }

  /** It may have had an effect, but not later than whatever the server still does for a call that failed. */
  #later(write: Write): void {
    setTimeout(() => {
      write.ended = this.#world.trace.tick();
    }, 1000);
  }

  async #call<T>(ask: (client: NorthboundClient) => Promise<T>): Promise<T> {
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

const bindingKey = (key: string) => {
  const { vn, mac } = partsOf(key);
  return { kind: Kind.KIND_BINDING, key: `default/vn${vn}/${mac.replace(/..(?=.)/g, "$&:")}` };
};

const policyName = (nve: string, vn: number): string => `out-${nve}-vn${vn}`;

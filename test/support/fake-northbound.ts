import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import { type Service, serve } from "@nve/program/rpc";
import {
  type ApplyRequest,
  type ApplyResponse,
  type DeleteResourceRequest,
  Event,
  type FollowEventsRequest,
  type Kind,
  type ListEventsRequest,
  NorthboundService,
  NvaStatus,
  type PutResourceRequest,
  Resource,
  type ResourceChange,
  type ResourceKey,
  type VnRef,
} from "@nve/protocol-spec/proto/northbound";
import { Vn } from "@nve/protocol-spec/proto/types";

type Failure = { code: grpc.status; details: string };
const failure = (code: grpc.status, details: string): Failure => ({ code, details });

const idOf = (key: ResourceKey | undefined): string => `${key?.kind ?? 0} ${key?.key ?? ""}`;
const octetsOf = (resource: Resource): string =>
  Buffer.from(Resource.encode({ ...resource, revision: 0n }).finish()).toString("hex");

/**
 * Answers what the CLI asks, from memory, without deciding anything: whatever is put is there, and who asks sees it. For tests of
 * the CLI alone; `calls` is what was asked.
 */
export async function fakeNorthbound() {
  const folder = mkdtempSync(join(tmpdir(), "northbound-"));
  const address = `unix:${join(folder, "nva.sock")}`;
  const resources = new Map<string, Resource>();
  const calls: [method: string, request: unknown][] = [];
  const events: Event[] = [];
  const followers = new Set<grpc.ServerWritableStream<FollowEventsRequest, Event>>();
  let revision = 10n;
  /** Done before a call is answered: what somebody else does at the same time. */
  let before: ((method: string) => void) | undefined;

  const put = (resource: Resource): Resource => {
    revision += 1n;
    const made = { ...resource, revision };
    resources.set(idOf(made.key), made);
    return made;
  };

  const found = (key: ResourceKey | undefined): Resource => {
    const one = resources.get(idOf(key));
    if (one === undefined) throw failure(grpc.status.NOT_FOUND, `there is no ${key?.key}`);
    return one;
  };

  const expectRevision = (key: ResourceKey | undefined, expected: bigint | undefined): void => {
    const is = resources.get(idOf(key))?.revision ?? 0n;
    if (expected !== undefined && is !== expected)
      throw failure(grpc.status.ABORTED, `${key?.key} is at revision ${is}, not ${expected}`);
  };

  function apply(request: ApplyRequest): ApplyResponse {
    if (request.expected !== undefined && request.expected < revision)
      throw failure(grpc.status.ABORTED, `something was changed at revision ${revision}`);
    const wanted = new Set(request.resources.map(({ key }) => idOf(key)));
    const changes: ResourceChange[] = [];
    for (const after of request.resources) {
      const old = resources.get(idOf(after.key));
      if (old === undefined || octetsOf(old) !== octetsOf(after))
        changes.push({ key: after.key, before: old, after });
    }
    const unchanged = request.resources.length - changes.length;
    if (request.prune)
      for (const [id, old] of resources)
        if (!wanted.has(id)) changes.push({ key: old.key, before: old, after: undefined });
    if (!request.dryRun)
      for (const { key, after } of changes) {
        if (after === undefined) resources.delete(idOf(key));
        else put(after);
      }
    return { changes, unchanged, revision };
  }

  const listed = ({ after, pageSize, action, object }: ListEventsRequest): Event[] =>
    events
      .filter(
        (one) => one.id > after && one.action.startsWith(action) && one.object.startsWith(object),
      )
      .slice(0, pageSize);

  const methods: Record<string, (request: never) => unknown> = {
    getResource: (key: ResourceKey) => {
      const isId = (one: Resource) =>
        one.of?.$case === "vn" && String(one.of.value.vnId) === key.key;
      return [...resources.values()].find(isId) ?? found(key);
    },
    putResource: ({ resource = Resource.create(), expected }: PutResourceRequest) => {
      expectRevision(resource.key, expected);
      return put(resource);
    },
    listResources: ({ kind, pageToken }: { kind: Kind; pageToken: string }) => {
      const all = [...resources.values()].filter(({ key }) => kind === 0 || key?.kind === kind);
      const from = Number(pageToken);
      const isLast = from + 2 >= all.length;
      return {
        resources: all.slice(from, from + 2),
        nextPageToken: isLast ? "" : String(from + 2),
      };
    },
    deleteResource: ({ key, expected }: DeleteResourceRequest) => {
      found(key);
      expectRevision(key, expected);
      resources.delete(idOf(key));
      revision += 1n;
      return { revision };
    },
    apply,
    getVn: ({ ref }: VnRef) => {
      const all = [...resources.values()].flatMap(({ of }) =>
        of?.$case === "vn" ? [of.value] : [],
      );
      const vn = all.find(
        ({ vnId, tenant, alias }) =>
          vnId === ref?.value || alias === ref?.value || `${tenant}/${alias}` === ref?.value,
      );
      if (vn === undefined) throw failure(grpc.status.NOT_FOUND, `no VN ${ref?.value}`);
      const { vnId, name, alias, tenant, mtu, admission, duplicates } = vn;
      const made = { vnId, name, alias, tenant, mtu, admission, duplicates, revision };
      return { ...Vn.create(), ...made, vni: vn.vni ?? 0, profileName: vn.profile };
    },
    listDuplicates: () => ({ duplicates: [] }),
    clearDuplicate: () => ({ revision }),
    listEvents: (request: ListEventsRequest) => ({
      events: listed(request),
      last: events.at(-1)?.id ?? 0n,
    }),
    status: () => ({ ...NvaStatus.create(), version: "test", revision }),
  };

  const implementation: grpc.UntypedServiceImplementation = {};
  for (const name of Object.keys(NorthboundService)) {
    implementation[name] = (
      call: grpc.ServerUnaryCall<unknown, unknown>,
      done: grpc.sendUnaryData<unknown>,
    ) => {
      calls.push([name, call.request]);
      try {
        before?.(name);
        const method = methods[name];
        if (method === undefined) throw failure(grpc.status.UNIMPLEMENTED, name);
        done(null, method(call.request as never));
      } catch (error) {
        done(error as Failure);
      }
    };
  }
  implementation["followEvents"] = (
    call: grpc.ServerWritableStream<FollowEventsRequest, Event>,
  ) => {
    calls.push(["followEvents", call.request]);
    followers.add(call);
    call.on("close", () => followers.delete(call));
  };

  const service: Service = { definition: NorthboundService, implementation };
  let serving = await serve(address, [service]);
  return {
    address,
    resources,
    calls,
    put,
    get revision() {
      return revision;
    },
    onCall(what: typeof before) {
      before = what;
    },
    answer(method: string, how: (request: never) => unknown) {
      methods[method] = how;
    },
    /** Something happens: those who follow are told. */
    happen(event: Partial<Event>): void {
      const made = Event.fromPartial({ id: BigInt(events.length + 1), ...event } as Event);
      events.push(made);
      for (const one of followers) one.write(made);
    },
    get followers() {
      return followers.size;
    },
    /** Ends the calls of those who follow. */
    refuseFollowers(details: string): void {
      const code = grpc.status.RESOURCE_EXHAUSTED;
      for (const one of followers) one.emit("error", { code, details });
    },
    /** Ends and comes back, with all that it knew. */
    async restart(): Promise<void> {
      await serving.close();
      serving = await serve(address, [service]);
    },
    async stop(): Promise<void> {
      await serving.close();
      rmSync(folder, { recursive: true });
    },
  };
}
export type FakeNorthbound = Awaited<ReturnType<typeof fakeNorthbound>>;

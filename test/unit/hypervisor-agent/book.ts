import { emptyBook, stepBook } from "@nve/hypervisor-agent/stations/book";
import type { Tree } from "@nve/hypervisor-agent/stations/tree";
import type {
  Book,
  BookAction,
  BookEvent,
  BookSettings,
} from "@nve/hypervisor-agent/stations/turn";
import { stateOf } from "@nve/hypervisor-agent/stations/vnic";
import {
  type Association,
  type AssociationType,
  type EvbAgreed,
  Instant,
  Mac,
  Uuid,
  uuidOfVsi,
  Vid,
  VnId,
} from "@nve/protocol-spec";

export const vnicA = Uuid("aaaaaaaa-0000-4000-8000-00000000000a");
export const vnicB = Uuid("bbbbbbbb-0000-4000-8000-00000000000b");
export const macA = Mac("02:00:00:00:00:0a");
export const macB = Mac("02:00:00:00:00:0b");

export const settings: BookSettings = {
  vdp: { manager: new Uint8Array(16), typeId: 0, typeVersion: 1 },
  retryMs: { first: 500, max: 10_000, refused: 30_000 },
};

/** Response wait 17.4 s, keepalive every 10.5 s. */
export const agreed: EvbAgreed = { peer: true, groupId: true, r: 3, rte: 14, rwd: 20, rka: 20 };
export const alone: EvbAgreed = { ...agreed, peer: false, groupId: false };

export const treeOf = (vn: number, mac: Mac = macA): Tree => [
  { vn: VnId(vn), macs: [{ mac, ips: [] }] },
];

/** One book along a time line, with what it did last. */
export function bookAt(options: { ready?: boolean } = {}) {
  let book: Book = emptyBook("up", options.ready === false ? alone : agreed);
  let actions: readonly BookAction[] = [];
  const self = {
    at(ms: number, event: BookEvent): readonly BookAction[] {
      [book, ...actions] = stepBook(book, event, Instant(ms), settings);
      return actions;
    },
    attach: (ms: number, call: number, tree = treeOf(5), vnic = vnicA, of = "tap0") =>
      self.at(ms, {
        on: "attach",
        call,
        vnic,
        interface: of,
        tree,
        deadline: Instant(ms + 20_000),
      }),
    change: (ms: number, call: number, tree: Tree, vnic = vnicA) =>
      self.at(ms, { on: "change", call, vnic, tree, deadline: Instant(ms + 20_000) }),
    get book() {
      return book;
    },
    state: (vnic = vnicA) => {
      const found = book.vnics.get(vnic);
      return found && stateOf(found);
    },
    reason: (vnic = vnicA) => book.vnics.get(vnic)?.reason,
    tags: (vnic = vnicA) => book.vnics.get(vnic)?.granted?.tagged.map(({ vn, vid }) => [vn, vid]),
  };
  return self;
}

/** What was sent: type and entries of every association TLV, by ULPDU. */
export const sent = (actions: readonly BookAction[]) =>
  actions
    .filter((action) => action.do === "send")
    .map(({ vdpdu }) =>
      vdpdu.tlvs
        .filter((tlv) => tlv.is === "association")
        .map(({ type, association }) => ({
          type,
          vnic: uuidOfVsi(association.vsiId),
          entries: entriesOf(association),
        })),
    );

/** `<vn> <mac> <vid or ->` */
export const entriesOf = ({ filters }: Association): string[] =>
  filters.by === "group-mac-vid"
    ? filters.entries.map(({ groupId, mac, vid }) => `${groupId} ${mac} ${vid ?? "-"}`)
    : [];

export const firstAssociation = (actions: readonly BookAction[]): Association => {
  for (const action of actions) {
    if (action.do !== "send") continue;
    for (const tlv of action.vdpdu.tlvs) if (tlv.is === "association") return tlv.association;
  }
  throw new Error("nothing was sent");
};

type Answer = { code?: number; keep?: boolean; hard?: boolean; vid?: number | "none" };

/** The NVE's answer to a request: tag 100 + VN, or as `vid` says. */
export function answer(
  request: Association,
  { code = 0, keep = false, hard = false, vid }: Answer = {},
  type: AssociationType = "associate",
): BookEvent {
  const { filters } = request;
  if (filters.by !== "group-mac-vid") throw new Error("not ours");
  const entries = filters.entries.map(({ vid: asked, ...entry }) => {
    const lent = vid === "none" ? undefined : Vid(vid ?? 100 + entry.groupId);
    const filled = code === 0 ? lent : asked;
    return { ...entry, ...(filled !== undefined && { vid: filled }) };
  });
  const status = { is: "response", keep, hard, code } as const;
  return {
    on: "association",
    type,
    association: { ...request, status, filters: { by: "group-mac-vid", entries } },
  };
}

/** The NVE's own De-Associate. */
export const order = (request: Association): BookEvent => ({
  on: "association",
  type: "de-associate",
  association: {
    ...request,
    status: { is: "request", suspended: false, migrating: false, code: 0 },
  },
});

export const outcomes = (actions: readonly BookAction[]) =>
  actions.filter((action) => action.do === "done" || action.do === "failed");
export const binds = (actions: readonly BookAction[]): boolean =>
  actions.some((action) => action.do === "bind");

/** As many MAC addresses as a test needs. @param last two hex digits */
export const vnicMac = (last: string) => `02:00:00:00:01:${last}` as typeof macA;

/** A book with VNIC A associated in VN 5 with tag 105. */
export function associated() {
  const it = bookAt();
  it.at(2, answer(firstAssociation(it.attach(1, 1))));
  return it;
}

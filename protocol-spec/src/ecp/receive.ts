/** ECP receive side (802.1Q clause 43; spec/ecp.md 4): ack every request, deliver what is no repeat of the last. */
export type EcpRx = { is: "first" } | { is: "wait"; lastSeq: number };

export type EcpRxEvent = { on: "request"; seq: number; ulpdu: Uint8Array } | { on: "link-down" };

export type EcpRxAction = { do: "ack"; seq: number } | { do: "deliver"; ulpdu: Uint8Array };

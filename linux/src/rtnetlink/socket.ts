import { concat, DecodeError } from "@nve/protocol-spec";
import { SystemError } from "../errors.ts";
import { errorName, NativeSocket, type Setting } from "../native.ts";
import {
  field,
  hostUint,
  type Message,
  messageOctets,
  readAttributes,
  readCString,
  readMessages,
  signed,
} from "./codec.ts";

/** The kernel refused a request. `code` is errno's name ("ENODEV"); the message holds the kernel's own words. */
export class NetlinkError extends SystemError {
  override readonly name = "NetlinkError";
}

/** What the kernel tells without being asked. */
export type Heard =
  /** A notification of a group that was joined, in the order of the changes. */
  | { on: "message"; message: Message }
  /** Notifications were lost, because they came faster than they were read: ask for everything again. */
  | { on: "resync" };

/**
 * One NETLINK_ROUTE socket: requests, dumps and notifications, all in the kernel's order. Any number of requests
 * may be outstanding; a bounded number of them is in the kernel's hands at a time.
 */
export class RtnetlinkSocket {
  readonly #socket: NativeSocket;
  readonly #hear: (heard: Heard) => void;
  readonly #asked = new Map<number, Question>();
  readonly #queue: Question[] = [];
  #seq = 0;
  #dumping = false;
  #closed = false;
  #wanted = false;

  /** @param groups RTNLGRP_* numbers to be notified of, 1 … 32. @throws SystemError, Unavailable */
  constructor(groups: readonly number[] = [], hear: (heard: Heard) => void = () => {}) {
    this.#hear = hear;
    this.#socket = new NativeSocket(
      { ...NETLINK_ROUTE, settings: SETTINGS, address: netlinkAddress(groups) },
      (datagrams, error) => this.#receive(datagrams, error),
    );
    this.#socket.keepAlive(false);
  }

  /** Resolves when the kernel has done it. @param doing names it in an error. @throws NetlinkError */
  async request(doing: string, type: number, flags: number, body: Uint8Array): Promise<void> {
    await this.#ask({ doing, type, flags: flags | NLM_F.ack, body });
  }

  /**
   * The answer to one question that is no dump. Only of a socket without groups: a notification that somebody else
   * caused may carry the same number.
   */
  async ask(doing: string, type: number, body: Uint8Array): Promise<Message[]> {
    const { messages } = await this.#ask({ doing, type, flags: NLM_F.ack, body, single: true });
    return messages;
  }

  /** All answers of one dump; taken again when the kernel says that something changed meanwhile. */
  async dump(doing: string, type: number, body: Uint8Array): Promise<Message[]> {
    for (let attempt = 1; ; attempt++) {
      const { messages, torn } = await this.#ask({ doing, type, flags: NLM_F.dump, body });
      if (!torn) return messages;
      if (attempt === DUMP_ATTEMPTS)
        throw new NetlinkError("EAGAIN", `${doing}: it keeps changing`);
    }
  }

  /** Whether the socket keeps the process running while nothing is outstanding; at first it does not. */
  keepAlive(on: boolean): void {
    this.#wanted = on;
    this.#hold();
  }
  /** At once. What is outstanding fails with EBADF. */
  close(): void {
    this.#closed = true;
    this.#socket.close();
    this.#failAll("EBADF", "socket closed");
  }

  #ask(ask: Ask): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const refuse = (code: string, why = ask.doing): void =>
        reject(new NetlinkError(code, why === ask.doing ? why : `${ask.doing}: ${why}`));
      if (this.#closed) {
        refuse("EBADF", "socket closed");
        return;
      }
      this.#queue.push({ ...ask, answer: { messages: [], torn: false }, resolve, refuse });
      this.#pump();
    });
  }

  /** A socket has room for a number of acknowledgements, and the kernel does one dump at a time. */
  #pump(): void {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      const isDump = (next.flags & NLM_F.dump) === NLM_F.dump;
      if (this.#asked.size >= WINDOW || (isDump && this.#dumping)) break;
      this.#queue.shift();
      this.#send(next, isDump);
    }
    this.#hold();
  }

  #send(question: Question, isDump: boolean): void {
    this.#seq = (this.#seq % 0xffffffff) + 1;
    const { type, flags, body } = question;
    const octets = messageOctets({ type, flags: flags | NLM_F.request, seq: this.#seq, body });
    const error = this.#socket.send(octets, kernel);
    if (error !== undefined) {
      question.refuse(error);
      return;
    }
    this.#dumping ||= isDump;
    this.#asked.set(this.#seq, question);
  }

  #receive(datagrams: readonly Uint8Array[], error: string | undefined): void {
    try {
      for (const datagram of datagrams) {
        for (const message of readMessages(datagram)) this.#take(message);
      }
    } catch (cause) {
      if (!(cause instanceof DecodeError)) throw cause;
      this.#resync("EBADMSG");
    }
    if (error !== undefined) this.#resync(error);
    if (!this.#closed) this.#pump();
  }

  /** Which answers were among what was lost nobody knows: all that are outstanding fail. */
  #resync(error: string): void {
    if (this.#closed) return;
    this.#failAsked(error, "the kernel's answer was lost");
    this.#hear({ on: "resync" });
  }

  /**
   * A notification carries the sequence number of whoever caused the change, which may be one of ours; but only
   * answers are of several parts, errors or ends, but for what was asked by `ask`.
   */
  #take(message: Message): void {
    const isEnd = message.type === NLMSG.error || message.type === NLMSG.done;
    const question = this.#asked.get(message.seq);
    if (!isEnd && !(message.flags & NLM_F.multi) && !question?.single) {
      this.#hear({ on: "message", message });
      return;
    }
    if (question === undefined) return;
    if (message.flags & NLM_F.dumpInterrupted) question.answer.torn = true;
    if (isEnd) this.#settle(question, message);
    else question.answer.messages.push(message);
  }

  #settle(question: Question, message: Message): void {
    this.#asked.delete(message.seq);
    if ((question.flags & NLM_F.dump) === NLM_F.dump) this.#dumping = false;
    const errno = message.body.length < 4 ? 0 : -signed(field(message.body, 0, 4));
    if (errno === 0) question.resolve(question.answer);
    else question.refuse(errorName(errno), wordsOf(message));
  }

  #failAsked(code: string, why: string): void {
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    this.#dumping = false;
    for (const { refuse } of asked) refuse(code, why);
  }

  #failAll(code: string, why: string): void {
    this.#failAsked(code, why);
    for (const { refuse } of this.#queue.splice(0)) refuse(code, why);
  }

  /** A process must not end while it awaits an answer, and need not run on for a socket that is idle. */
  #hold(): void {
    this.#socket.keepAlive(this.#wanted || this.#asked.size > 0);
  }
}

type Answer = { messages: Message[]; torn: boolean };
type Ask = { doing: string; type: number; flags: number; body: Uint8Array; single?: true };
type Question = Ask & {
  answer: Answer;
  resolve: (answer: Answer) => void;
  refuse: (code: string, why?: string) => void;
};

const WINDOW = 128;
const DUMP_ATTEMPTS = 8;
const NETLINK_ROUTE = { domain: 16, type: 3, protocol: 0, slotOctets: 32768 };
const SOL_NETLINK = 270;
const NLMSG = { error: 2, done: 3 };
const NLM_F = {
  request: 1,
  multi: 2,
  ack: 4,
  dumpInterrupted: 0x10,
  dump: 0x300,
  capped: 0x100,
  ackTlvs: 0x200,
};
const NLMSGERR_ATTR_MSG = 1;

/** sockaddr_nl: family 2, pad 2, port ID 4, groups 4. Port ID 0 is the kernel, or when binding: any. */
const netlinkAddress = (groups: readonly number[]): Uint8Array =>
  concat(
    hostUint(2, 16),
    new Uint8Array(6),
    hostUint(4, groups.reduce((mask, group) => mask | (1 << (group - 1)), 0) >>> 0),
  );
const kernel = netlinkAddress([]);

const SETTINGS: readonly Setting[] = [
  [1, 33, hostUint(4, 1 << 20)], // SO_RCVBUFFORCE
  [SOL_NETLINK, 11, hostUint(4, 1)], // NETLINK_EXT_ACK: the kernel's own words
  [SOL_NETLINK, 10, hostUint(4, 1)], // NETLINK_CAP_ACK: without our request in it
];

/**
 * The kernel's own words for an error.
 *
 *   NLMSG_ERROR  error 4, header of the request 16 (the rest of it too, unless "capped"), attributes
 *   NLMSG_DONE   error 4, attributes
 */
function wordsOf({ type, flags, body }: Message): string | undefined {
  if (!(flags & NLM_F.ackTlvs)) return undefined;
  const request = flags & NLM_F.capped ? 16 : field(body, 4, 4);
  const attributes = readAttributes(body.subarray(type === NLMSG.done ? 4 : 4 + request));
  const words = attributes.get(NLMSGERR_ATTR_MSG);
  return words && readCString(words);
}

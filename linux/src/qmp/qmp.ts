import { createConnection, type Socket } from "node:net";
import { QmpGone, QmpRefused } from "./errors.ts";
import { LineCutter } from "./lines.ts";
import { type QmpEvent, type QmpMessage, readQmpMessage } from "./message.ts";

/** A conversation with one QEMU (docs/interop/qmp-spec of QEMU). It ends once; who wants another connects anew. */
export interface Qmp {
  /** Of QEMU: "7.2.22". */
  readonly version: string;
  /**
   * Commands may be under way together; QEMU takes them in their order.
   * @param timeoutMs a QEMU that does not answer in time is given up: the conversation ends
   * @returns what QEMU returns, to be checked
   * @throws QmpRefused when QEMU refuses it; QmpGone
   */
  execute(
    command: string,
    args?: Readonly<Record<string, unknown>>,
    timeoutMs?: number,
  ): Promise<unknown>;
  /** Resolves when the conversation has ended, with the reason; undefined: `close` ended it. */
  readonly ended: Promise<QmpGone | undefined>;
  close(): void;
}

export type QmpOptions = {
  /** Of a unix socket: `-qmp unix:<path>,server=on,wait=off`. QEMU serves one client of it at a time. */
  path: string;
  onEvent?(event: QmpEvent): void;
  /** For socket, greeting and capabilities together. Milliseconds. */
  timeoutMs?: number;
};

const CONNECT_MS = 5_000;
const ANSWER_MS = 10_000;
/** Octets. The longest that QEMU says, the answer to query-qmp-schema, is some 250,000. */
const MAX_LINE = 4 << 20;

/**
 * Connects, and negotiates no capabilities.
 * @throws QmpGone with the reason
 */
export async function connectQmp(options: QmpOptions): Promise<Qmp> {
  const { path, timeoutMs = CONNECT_MS } = options;
  const conversation = new Conversation(path, options.onEvent ?? (() => {}));
  const late = setTimeout(() => {
    conversation.end(new QmpGone(`${path}: no greeting in ${timeoutMs} ms: ${WHY_SILENT}`));
  }, timeoutMs);
  try {
    await conversation.greeted;
    await conversation.execute("qmp_capabilities", {}, timeoutMs);
    return conversation;
  } catch (error) {
    conversation.close();
    throw error;
  } finally {
    clearTimeout(late);
  }
}

const WHY_SILENT = "QEMU hangs, or another program holds this monitor, which serves one at a time";

type Question = {
  command: string;
  settle(value: unknown): void;
  fail(error: QmpRefused | QmpGone): void;
};

class Conversation implements Qmp {
  version = "unknown";
  readonly ended: Promise<QmpGone | undefined>;
  readonly greeted: Promise<void>;
  readonly #path: string;
  readonly #socket: Socket;
  readonly #onEvent: (event: QmpEvent) => void;
  readonly #lines = new LineCutter(MAX_LINE);
  readonly #asked = new Map<number, Question>();
  #last = 0;
  #reason: QmpGone | undefined;
  #isOver = false;
  #tellEnd: (reason: QmpGone | undefined) => void = () => {};
  #tellGreeted: (fault?: QmpGone) => void = () => {};

  constructor(path: string, onEvent: (event: QmpEvent) => void) {
    this.#path = path;
    this.#onEvent = onEvent;
    this.ended = new Promise((resolve) => {
      this.#tellEnd = resolve;
    });
    this.greeted = new Promise((resolve, reject) => {
      this.#tellGreeted = (fault) => (fault === undefined ? resolve() : reject(fault));
    });
    this.#socket = createConnection(path);
    this.#socket.on("data", (piece) => this.#hear(piece));
    this.#socket.on("error", (error: NodeJS.ErrnoException) =>
      this.end(new QmpGone(`${path}: ${error.message}`, error.code)),
    );
    this.#socket.on("close", () => this.end(new QmpGone(`${path}: QEMU closed the connection`)));
  }

  execute(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    timeoutMs: number = ANSWER_MS,
  ): Promise<unknown> {
    if (this.#isOver) return Promise.reject(this.#reason ?? this.#closed());
    this.#last += 1;
    const id = this.#last;
    const answer = new Promise((resolve, reject) => {
      this.#asked.set(id, { command, settle: resolve, fail: reject });
    });
    const late = setTimeout(() => {
      this.end(new QmpGone(`${this.#path}: no answer to ${command} in ${timeoutMs} ms`));
    }, timeoutMs);
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    return answer.finally(() => clearTimeout(late));
  }

  close(): void {
    this.end(undefined);
  }

  end(reason: QmpGone | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reason = reason;
    this.#socket.destroy();
    const gone = reason ?? this.#closed();
    this.#tellGreeted(gone);
    this.greeted.catch(() => {}); // nobody may be waiting
    for (const { fail } of this.#asked.values()) fail(gone);
    this.#asked.clear();
    this.#tellEnd(reason);
  }

  #closed(): QmpGone {
    return new QmpGone(`${this.#path}: the conversation was ended here`);
  }

  #hear(piece: Buffer): void {
    const lines = this.#lines.cut(piece);
    if (lines === undefined) {
      this.end(new QmpGone(`${this.#path}: a line is longer than ${MAX_LINE} octets`));
    }
    for (const line of lines ?? []) {
      if (this.#isOver) return;
      const message = readQmpMessage(line);
      if (typeof message === "string") this.end(new QmpGone(`${this.#path}: ${message}`));
      else this.#take(message);
    }
  }

  #take(message: QmpMessage): void {
    switch (message.is) {
      case "greeting":
        this.version = message.version;
        this.#tellGreeted();
        return;
      case "event":
        this.#onEvent(message);
        return;
      case "return":
        this.#asked.get(message.id)?.settle(message.value);
        this.#asked.delete(message.id);
        return;
      case "error":
        this.#refused(message);
    }
  }

  #refused({ id, errorClass, reason }: QmpMessage & { is: "error" }): void {
    if (id === undefined) {
      this.end(new QmpGone(`${this.#path}: QEMU did not understand us: ${reason}`));
      return;
    }
    const question = this.#asked.get(id);
    question?.fail(new QmpRefused(question.command, errorClass, reason));
    this.#asked.delete(id);
  }
}

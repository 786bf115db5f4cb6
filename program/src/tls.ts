import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import { Refused } from "./errors.ts";
import type { Log } from "./log.ts";
import { readTls, type TlsFiles, type TlsMaterial } from "./tls-files.ts";

export type TlsOptions = {
  log: Log;
  /** How often the files are read again whatever the folder says, milliseconds. */
  everyMs?: number;
  /** How long to wait after a change: certificate and key are written one after the other. */
  settleMs?: number;
  now?: () => number;
  /** Whether the certificate must have a name of ours; true if not said. */
  named?: boolean;
};

const DAY_MS = 86_400_000;

/**
 * The certificate of a program, its key, and whom it trusts. When the files change they are read again: who connects
 * from then on gets the new ones, and sessions go on. Files that cannot be used leave the old ones in place.
 */
export class Tls {
  readonly #files: TlsFiles;
  readonly #options: Required<TlsOptions>;
  readonly #watchers: FSWatcher[] = [];
  readonly #listeners = new Set<(material: TlsMaterial) => void>();
  readonly #timer: NodeJS.Timeout;
  #settle: NodeJS.Timeout | undefined;
  #material: TlsMaterial;
  #fault = "";
  #warned = Number.NEGATIVE_INFINITY;

  /** @throws Refused when the files cannot be used; that the certificate is over is an error in the log only */
  constructor(files: TlsFiles, options: TlsOptions) {
    this.#files = files;
    this.#options = { everyMs: 60_000, settleMs: 200, now: Date.now, named: true, ...options };
    this.#material = readTls(files);
    const { name } = this.#material;
    if (typeof name === "string" && this.#options.named)
      throw new Refused(`tls.certificate: ${files.certificate}: ${name}`);
    this.#warn();
    for (const folder of new Set(Object.values(files).map((file: string) => dirname(file))))
      this.#watch(folder);
    this.#timer = setInterval(() => this.#look(), this.#options.everyMs).unref();
  }

  get current(): TlsMaterial {
    return this.#material;
  }

  /** What has to be seen to: files that cannot be used, or the end of the lifetime; empty: nothing. */
  get fault(): string {
    if (this.#fault !== "") return `new certificates cannot be used: ${this.#fault}`;
    if (this.#left <= 0) return "the certificate has expired";
    return this.#isLate ? "the certificate expires soon" : "";
  }

  /** Of the lifetime, milliseconds. */
  get #left(): number {
    return this.#material.notAfter - this.#options.now();
  }

  get #isLate(): boolean {
    const { notBefore, notAfter } = this.#material;
    return this.#left <= (notAfter - notBefore) / 3;
  }

  /** @returns what ends it */
  onChange(listener: (material: TlsMaterial) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#settle);
    for (const watcher of this.#watchers) watcher.close();
  }

  /** Where it cannot be watched, the timer finds what changes. */
  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => {
        clearTimeout(this.#settle);
        this.#settle = setTimeout(() => this.#look(), this.#options.settleMs).unref();
      });
      watcher.on("error", () => watcher.close());
      this.#watchers.push(watcher);
    } catch {
      this.#options.log.debug({ folder }, "cannot watch the certificates' folder");
    }
  }

  #look(): void {
    const { log } = this.#options;
    try {
      const read = readTls(this.#files);
      if (read.text === this.#material.text) this.#fault = "";
      else this.#take(read);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.message !== this.#fault)
        log.error({ reason: error.message }, "new certificates cannot be used: the old ones stay");
      this.#fault = error.message;
    }
    this.#warn();
  }

  /** @throws Refused */
  #take(read: TlsMaterial): void {
    const { log, now } = this.#options;
    const file = this.#files.certificate;
    if (typeof read.name === "string" && this.#options.named)
      throw new Refused(`${file}: ${read.name}`);
    if (!isValid(read, now()) && isValid(this.#material, now()))
      throw new Refused(
        `${file} is valid from ${day(read.notBefore)} to ${day(read.notAfter)} only`,
      );
    this.#material = read;
    this.#fault = "";
    this.#warned = Number.NEGATIVE_INFINITY;
    log.info({ certificate: file, validTo: day(read.notAfter) }, "new certificates taken");
    for (const listener of [...this.#listeners]) listener(read);
  }

  /** Once a day while a third of its lifetime, or less, is left. */
  #warn(): void {
    const { log, now } = this.#options;
    if (!this.#isLate || now() - this.#warned < DAY_MS) return;
    this.#warned = now();
    const validTo = day(this.#material.notAfter);
    const fields = { certificate: this.#files.certificate, validTo };
    if (this.#left <= 0)
      log.error(
        fields,
        "our certificate has expired: nobody will talk to us before it is replaced",
      );
    else log.warn(fields, "our certificate expires soon: replace it, no restart is needed");
  }
}

const isValid = ({ notBefore, notAfter }: TlsMaterial, now: number): boolean =>
  notBefore <= now && now < notAfter;

const day = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

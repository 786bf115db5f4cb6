import type { Mac, Uuid, VnId } from "@nve/protocol-spec";
import type { LocalClaim, PreparedVnic, Report } from "@nve/switch-agent/nve";

type Step = { report?: Report; isMade: boolean };

/**
 * What the NVA is told waits until the dataplane has what came with it, in the order in which it came: as soon as the NVA
 * knows that a VNIC is here, others send to us, and what they send is delivered (M2). What was taken back meanwhile
 * is not told at all.
 */
export class Reports {
  readonly #send: (report: Report) => void;
  #steps: Step[] = [];

  constructor(send: (report: Report) => void) {
    this.#send = send;
  }

  /** A change is on its way to the dataplane. @returns to be called when it is there, or was not taken */
  hold(): () => void {
    const step: Step = { isMade: false };
    this.#steps.push(step);
    return () => {
      step.isMade = true;
      this.#flush();
    };
  }

  /** Told once all that is held is made. */
  add(report: Report): void {
    this.#steps.push({ report, isMade: true });
    this.#flush();
  }

  /** The NVA is told all there is: what waits is of it. */
  clear(): void {
    for (const step of this.#steps) delete step.report;
  }

  #flush(): void {
    const held = this.#steps.findIndex(({ isMade }) => !isMade);
    const made = this.#steps.splice(0, held === -1 ? this.#steps.length : held);
    const reports = made.flatMap(({ report }) => report ?? []);
    const [first] = reports;
    if (first !== undefined) this.#send(reports.length === 1 ? first : merged(reports));
  }
}

/** Of each address, VN and VNIC the last word. */
function merged(reports: readonly Report[]): Report {
  const claims = new Map<string, { vn: VnId; mac: Mac; claim?: LocalClaim }>();
  const vns = new Map<VnId, boolean>();
  const reserved = new Map<Uuid, PreparedVnic | undefined>();
  for (const report of reports) {
    for (const claim of report.claims) {
      const { vn, mac } = claim;
      claims.set(`${vn} ${mac}`, { vn, mac, claim });
    }
    for (const { vn, mac } of report.withdrawn) claims.set(`${vn} ${mac}`, { vn, mac });
    for (const vn of report.joined) vns.set(vn, true);
    for (const vn of report.left) vns.set(vn, false);
    for (const one of report.prepared ?? []) reserved.set(one.vnic, one);
    for (const vnic of report.unprepared ?? []) reserved.set(vnic, undefined);
  }
  const all = [...claims.values()];
  const prepared = [...reserved.values()].flatMap((one) => one ?? []);
  const unprepared = [...reserved].flatMap(([vnic, one]) => (one === undefined ? [vnic] : []));
  return {
    claims: all.flatMap(({ claim }) => claim ?? []),
    withdrawn: all.flatMap(({ vn, mac, claim }) => (claim === undefined ? [{ vn, mac }] : [])),
    joined: [...vns].flatMap(([vn, isIn]) => (isIn ? [vn] : [])),
    left: [...vns].flatMap(([vn, isIn]) => (isIn ? [] : [vn])),
    ...(prepared.length > 0 && { prepared }),
    ...(unprepared.length > 0 && { unprepared }),
  };
}

import { resolve } from "node:path";
import { roles } from "@nve/program/certified";
import { Usage } from "@nve/program/errors";
import { show, showOne } from "@nve/program/output";
import { argument, textArgument } from "@nve/program/program";
import { OutOfRange } from "@nve/protocol-spec/errors";
import { NveId } from "@nve/protocol-spec/ids";
import { IpAddress } from "@nve/protocol-spec/ip";
import { Command, Option } from "commander";
import type { Subject } from "../pki/certificate.ts";
import type { Issued } from "../pki/pki.ts";
import { columns, type Outside } from "./outside.ts";

// The library that writes certificates is read when one is written, and not before.
const pki = () => import("../pki/pki.ts");

/** Does it while no other run works in the folder. */
async function alone<T>(path: string, work: () => T): Promise<T> {
  const { lockedPki } = await import("../pki/locked.ts");
  return lockedPki(path, work);
}

type Printed = { json: boolean };
type Forced = Printed & { force: boolean };
type IssueOptions = Forced & { ip?: IpAddress[]; dns?: string[]; role?: Role; days: number };
type Role = (typeof roles)[number];

/** `nva pki …`: all of it works on files of a folder, and asks nobody. */
export function pkiCommand({
  print,
  note,
  exitWith,
}: Pick<Outside, "print" | "note" | "exitWith">): Command {
  const command = new Command("pki").description("a small CA for mutual TLS, in a folder");
  const folder = textArgument((text) => resolve(text));
  const sub = (name: string, does: string): Command =>
    command
      .command(name)
      .description(does)
      .argument("<folder>", "of the CA, for its owner alone", folder)
      .option("--json", "print JSON", false);

  sub("init", "make the folder and a CA in it")
    .option("--days <days>", "how long the CA is valid", argument(days), 3650)
    .option("--force", "another CA in place of one that is there", false)
    .action(async (path: string, options: Forced & { days: number }) => {
      const { initPki, makePkiFolder } = await pki();
      makePkiFolder(path);
      const { validTo } = await alone(path, () => initPki(path, options.days, options.force));
      const made = { folder: path, validTo: iso(validTo) };
      if (options.json) showOne(made, { json: true, print });
      else print(`CA made in ${path}, valid to ${made.validTo}: keep ca.key to yourself`);
    });

  sub("issue", "make a key and a certificate")
    .argument("<kind>", "nve, nva, hypervisor, etcd or client", textArgument(kindOf))
    .argument("<id>", "id of the NVE or NVA, or a client's name", textArgument(NveId))
    .option("--ip <address>", "VTEP of an NVE, address of an NVA; may be repeated", manyIps)
    .option("--dns <name>", "host name of an NVA; may be repeated", manyNames)
    .addOption(new Option("--role <role>", "what a client may do (default: viewer)").choices(roles))
    .option("--days <days>", "how long it is valid, the CA permitting", argument(days), 365)
    .option("--force", "in place of one that is there", false)
    .action(async (path: string, is: Subject["is"], id: string, options: IssueOptions) => {
      const subject = subjectOf(is, id, options);
      const { issueIn } = await pki();
      const { days, force } = options;
      tell([await alone(path, () => issueIn(path, subject, days, force))], options);
    });

  sub("rotate", "new keys and certificates for what has some; without names: another CA")
    .argument("[names...]", "like nve/tor1, or tor1")
    .option("--finish", "end the replacement of the CA: the old one is trusted no more", false)
    .option("--force", "with --finish: though certificates of the old CA are left", false)
    .action(async (path: string, names: string[], options: Forced & { finish: boolean }) => {
      const { find, rotateIn, rotateCa, finishCa } = await pki();
      if (names.length > 0 && options.finish)
        throw new Usage("--finish is about the CA: it goes with no name");
      if (options.force && !options.finish) throw new Usage("--force goes with --finish");
      if (names.length > 0) {
        const made = await alone(path, () => {
          // All of them or none: a new key that nobody is told of would not be brought to its owner.
          const all = new Set(names.map((one) => find(path, one).name));
          return [...all].map((name) => rotateIn(path, name));
        });
        return tell(made, options);
      }
      const ca = await alone(path, () =>
        options.finish ? finishCa(path, options.force) : rotateCa(path),
      );
      const made = { folder: path, validTo: iso(ca.validTo), step: options.finish ? 2 : 1 };
      if (options.json) showOne(made, { json: true, print });
      else for (const line of options.finish ? FINISHED : BEGUN(path)) print(line);
    });

  sub("list", "what has been issued, and until when it is valid").action(
    async (path: string, { json }: Printed) => {
      const { listPki } = await pki();
      const first = listPki(path);
      // One that is being made is not whole yet.
      const { issued, unreadable } =
        first.unreadable.length === 0
          ? first
          : await alone(path, () => listPki(path)).catch(() => first);
      const none = unreadable.length > 0 ? "nothing that can be read" : "nothing has been issued";
      show(issued.map(record), table, { json, print }, none);
      for (const { name, why } of unreadable) note(`error: ${name} is left out: ${why}`);
      if (unreadable.length > 0) exitWith(1);
    },
  );

  return command.addHelpText("after", examples);

  function tell(all: readonly Issued[], { json }: Printed): void {
    if (json) show(all.map(record), table, { json, print });
    else
      for (const { name, certificate, files } of all) {
        print(`${name}: valid to ${iso(certificate.validTo)}; bring these to its owner:`);
        for (const file of Object.values(files)) print(`  ${file}`);
      }
  }
}

const BEGUN = (folder: string): string[] => [
  "1. both CAs are in every ca.pem now: bring ca.pem to everybody, and wait until all have it",
  `2. nva pki rotate ${folder} <names …>, and bring key.pem and certificate.pem to their owners`,
  `3. nva pki rotate ${folder} --finish, and bring ca.pem to everybody: the old CA is trusted no more`,
];
const FINISHED = ["the new CA alone is trusted: bring ca.pem to everybody"];

function record({ name, subject, certificate, isCurrent, files }: Issued) {
  return {
    name,
    role: subject.is === "client" ? subject.role : "",
    ips: [...subject.ips],
    dns: [...subject.dns],
    validTo: iso(certificate.validTo),
    daysLeft: Math.floor((Date.parse(certificate.validTo) - Date.now()) / 86_400_000),
    signedBy: isCurrent ? "current CA" : "old CA",
    files,
  };
}

const table = columns<ReturnType<typeof record>>({
  NAME: (one) => one.name,
  ROLE: (one) => one.role,
  NAMES: (one) => [...one.ips, ...one.dns].join(","),
  "VALID TO": (one) => one.validTo,
  "DAYS LEFT": (one) => one.daysLeft,
  "SIGNED BY": (one) => one.signedBy,
});

/** @throws Usage */
function subjectOf(
  is: Subject["is"],
  id: string,
  { ip: ips = [], dns = [], role }: IssueOptions,
): Subject {
  if (is === "client") return { is, id, role: role ?? "viewer", ips, dns };
  if (role !== undefined) throw new Usage(`--role is for clients: an ${is} has its own rights`);
  if ((is === "nva" || is === "etcd") && ips.length + dns.length === 0)
    throw new Usage("say at which --ip or --dns it is asked: those who connect compare it");
  return { is, id, ips, dns };
}

const KINDS: readonly Subject["is"][] = ["nve", "nva", "hypervisor", "etcd", "client"];

function kindOf(text: string): Subject["is"] {
  const kind = KINDS.find((one) => one === text);
  if (kind !== undefined) return kind;
  throw new OutOfRange(`"${text}" is not nve, nva, hypervisor, etcd or client`);
}

function days(n: number): number {
  if (n >= 1 && n <= 36_500) return n;
  throw new OutOfRange(`${n} is not in 1..36500`);
}

const manyIps = (text: string, before: IpAddress[] = []): IpAddress[] => [
  ...before,
  textArgument(IpAddress)(text),
];

const manyNames = (text: string, before: string[] = []): string[] => [
  ...before,
  textArgument((name) => {
    if (name.length <= 253 && /^(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*$/.test(name))
      return name;
    throw new OutOfRange(`"${name}" is no host name`);
  })(text),
];

const iso = (date: string): string => new Date(date).toISOString().replace(".000Z", "Z");

const examples = `
Examples:
  nva pki init /etc/split-nve/pki
  nva pki issue /etc/split-nve/pki nva nva-1 --ip 192.0.2.10 --dns nva.example
  nva pki issue /etc/split-nve/pki nve tor1 --ip 10.0.1.11
  nva pki issue /etc/split-nve/pki client alice --role viewer --days 30
  nva pki rotate /etc/split-nve/pki nve/tor1
  nva pki list /etc/split-nve/pki`;

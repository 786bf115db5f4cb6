// A cluster of members of etcd on this machine, on its disk.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { freePort, program, until } from "./rig.mjs";

/** @param quotaOctets what a member may hold; default: etcd's own, 2 GB. @returns its endpoints; `killLeader` kills the member that leads; `stop` ends all */
export async function etcdCluster(folder, { members: count = 3, quotaOctets } = {}) {
  const members = [];
  for (let n = 0; n < count; n++)
    members.push({ name: `n${n}`, client: await freePort(), peer: await freePort() });
  const peers = members.map(({ name, peer }) => `${name}=http://127.0.0.1:${peer}`).join(",");
  mkdirSync(folder, { recursive: true });
  for (const member of members) {
    const { name, client, peer } = member;
    member.program = program(folder, name, [
      ...["etcd", "--name", name, "--data-dir", join(folder, name)],
      ...["--listen-client-urls", `http://127.0.0.1:${client}`],
      ...["--advertise-client-urls", `http://127.0.0.1:${client}`],
      ...["--listen-peer-urls", `http://127.0.0.1:${peer}`],
      ...["--initial-advertise-peer-urls", `http://127.0.0.1:${peer}`],
      ...["--initial-cluster", peers, "--initial-cluster-token", folder],
      ...["--heartbeat-interval", "50", "--election-timeout", "300"],
      ...(quotaOctets === undefined ? [] : ["--quota-backend-bytes", String(quotaOctets)]),
      ...["--logger", "zap", "--log-level", "error"],
    ]);
  }
  const leads = async ({ client }) => {
    const page = await fetch(`http://127.0.0.1:${client}/metrics`).catch(() => undefined);
    return /^etcd_server_is_leader 1$/m.test((await page?.text()) ?? "");
  };
  const leader = async () => {
    for (const member of members) if (await leads(member)) return member;
    return undefined;
  };
  await until("etcd to have a leader", leader);
  return {
    members,
    endpoints: members.map(({ client }) => `127.0.0.1:${client}`),
    killLeader: async () => (await leader())?.program.child.kill("SIGKILL"),
    stop: () => Promise.all(members.map((member) => member.program.stop())),
  };
}

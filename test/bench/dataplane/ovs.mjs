// Open vSwitch with its datapath in userspace, as on a kernel without its module: a database and a switch for each ToR.
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { onPath } from "../../../scripts/doctor.mjs";
import { after, until } from "../nva/rig.mjs";
import { ipBatch, vteps } from "./rig.mjs";

export const hasOvs = () => onPath("ovs-vswitchd") && onPath("ovsdb-server");
const schema = "/usr/share/openvswitch/vswitch.ovsschema";

export async function ovsTors(rig, { closing }) {
  const tors = [];
  for (const own of [0, 1]) tors.push(await startOvs(rig, closing, own));
  for (const [own, { control, mac }] of tors.entries()) {
    const [ip, far] = [vteps[4][1 - own], tors[1 - own].mac];
    await until(`the address ${mac}`, () => control("ovs/route/show").includes(vteps[4][own]));
    control("tnl/neigh/set", "br-phy", ip, far);
  }
  return {
    settleMs: 50,
    cpuNs: () => tors.reduce((all, { pid }) => all + cpuNsOf(pid), 0),
  };
}

async function startOvs(rig, closing, own) {
  const namespace = rig.name(`tor${own + 1}`);
  const folder = join(rig.programs.folder, namespace);
  const [database, socket] = [join(folder, "conf.db"), `unix:${join(folder, "db.sock")}`];
  execFileSync("mkdir", [folder]);
  execFileSync("ovsdb-tool", ["create", database, schema]);
  const env = { ...process.env, OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder };
  const start = (...words) => {
    const child = spawn("nsenter", [`--net=/run/netns/${namespace}`, ...words], {
      env,
      stdio: "ignore",
    });
    closing.push(async () => {
      child.kill("SIGKILL");
      await after(20);
    });
    return child;
  };
  const control = join(folder, "vswitchd.ctl");
  start("ovsdb-server", `--remote=p${socket}`, `--unixctl=${join(folder, "db.ctl")}`, database);
  const vsctl = (...words) =>
    execFileSync("ovs-vsctl", [`--db=${socket}`, "--timeout=10", ...words], { env, stdio: "pipe" });
  await until("ovsdb-server", () => quiet(() => vsctl("--no-wait", "init")));
  const log = `--log-file=${join(folder, "vswitchd.log")}`;
  const { pid } = start("ovs-vswitchd", socket, `--unixctl=${control}`, log, "-vconsole:off");
  const [access, underlay] = own === 0 ? ["left", "right"] : ["right", "left"];
  const userspace = (bridge) => ["--", "set", "bridge", bridge, "datapath_type=netdev"];
  const mac = `02:ee:00:00:01:0${own + 1}`;
  const tunnel = ["type=vxlan", `options:remote_ip=${vteps[4][1 - own]}`, "options:key=5000"];
  vsctl("add-br", "br-phy", ...userspace("br-phy"), `other-config:hwaddr="${mac}"`);
  vsctl("add-port", "br-phy", underlay);
  vsctl("add-br", "br-int", ...userspace("br-int"), "other-config:mac-aging-time=3600");
  vsctl("add-port", "br-int", access);
  vsctl("add-port", "br-int", "vx", "--", "set", "interface", "vx", ...tunnel);
  ipBatch(namespace, [
    `addr del ${vteps[4][own]}/24 dev ${underlay}`,
    `addr add ${vteps[4][own]}/24 dev br-phy`,
    "link set br-phy mtu 1600 up",
  ]);
  const appctl = (...words) =>
    execFileSync("ovs-appctl", ["-t", control, ...words], { env, encoding: "utf8" });
  return { control: appctl, mac, pid };
}

const quiet = (act) => {
  try {
    act();
    return true;
  } catch {
    return false;
  }
};

/** Of all its threads. */
function cpuNsOf(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000_000; // ticks of 10 ms (getconf CLK_TCK)
}

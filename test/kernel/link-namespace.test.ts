import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { runModule } from "../support/child.ts";
import { ip, makeNamespace, type Namespace, removeStale } from "../support/netns.ts";

const made: Namespace[] = [];
const make = (label: string): Namespace => {
  const namespace = makeNamespace(label);
  made.push(namespace);
  return namespace;
};
afterEach(() => {
  for (const namespace of made.splice(0)) namespace.remove();
});

describe("a test's network namespace", () => {
  test("has links of its own, and a program that runs in it sees those", async () => {
    const namespace = make("own");
    namespace.run("ip", "link", "set", "lo", "down");
    const path = fileURLToPath(new URL("link-idle-program.ts", import.meta.url));
    const output = await runModule(path, { via: ["ip", "netns", "exec", namespace.name] });
    expect(output).toBe("packet down, pcap down, closed\n");
  });

  test("ends what was started in it, when it is removed", async () => {
    const namespace = make("child");
    const child = namespace.start("sleep", "600");
    const ended = new Promise((resolve) => child.once("exit", (_, signal) => resolve(signal)));
    namespace.remove();
    namespace.remove();
    expect(await ended).toBe("SIGKILL");
    expect(ip("netns list")).not.toContain(namespace.name);
  });

  test("of a process that is no more is removed by the next one, and no other", () => {
    const mine = make("mine");
    const dead = execFileSync("sh", ["-c", "echo $$"], { encoding: "utf8" }).trim();
    ip(`netns add nvet-${dead}-left`);
    ip(`link add nv${dead}x1a type veth peer name nv${dead}x1b`);
    removeStale();
    expect(ip("netns list")).not.toContain(`nvet-${dead}-left`);
    expect(ip("-o link show type veth")).not.toContain(`nv${dead}x1a`);
    expect(ip("netns list")).toContain(mine.name);
  });
});

import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { runModule } from "../../support/child.ts";

const program = fileURLToPath(new URL("../../support/printing-program.ts", import.meta.url));

/** What runs it sends its output away; rejects with what Node says of a failed child. */
const printing = (redirected: string): Promise<string> =>
  runModule(program, { via: ["bash", "-c", redirected, "sh"] });

test("output to a disk that is full: one line says so, exit code 1", async () => {
  await expect(printing('exec "$@" > /dev/full')).rejects.toMatchObject({
    code: 1,
    stderr: "error: cannot write what is to be printed: no space is left (ENOSPC)\n",
  });
});

test("where output and errors go is full: exit code 1", async () => {
  await expect(printing('exec "$@" > /dev/full 2>&1')).rejects.toMatchObject({ code: 1 });
});

test("a reader that has seen enough: nothing is said, and nothing is wrong", async () => {
  const both = '{ "$@"; echo "exit code $?" >&3; } 3>&1 >&4 4>&- 2>&1 | cat';
  const outcome = await printing(`exec 4> >(head -c1 >/dev/null); ${both}`).catch(String);
  expect(outcome).toBe("exit code 0\n");
});

import { Command } from "commander";
import { KeyId, makeKeyFile } from "./key-file.ts";
import { toJson } from "./output.ts";
import { textArgument } from "./program.ts";

/** `key new <file>`: for the authentication between station and switch. The key itself is never printed. */
export function keyCommand(print: (line: string) => void): Command {
  const key = new Command("key").description("keys for the link between server and switch");
  key
    .command("new")
    .description("make a file with a new random key, that nobody but its owner may read")
    .argument("<file>", "not there yet")
    .option("--id <id>", "0 to 255, tells keys apart while one replaces another", KEY_ID, 1)
    .action((file: string, { id }: { id: number }, command: Command) => {
      const { json = false } = command.optsWithGlobals<{ json?: boolean }>();
      makeKeyFile(file, id);
      print(json ? toJson({ file, id }) : `key ${id} made in ${file}: bring it to the other side`);
    });
  return key;
}

const KEY_ID = textArgument(KeyId);

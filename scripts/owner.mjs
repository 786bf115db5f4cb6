// Root in somebody's clone (`sudo … npm run demo`): what was made there belongs to whose the clone is, or that user
// could build nothing in it afterwards.
import { lchownSync, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const made = ["node_modules", "dist", "build", "tsconfig.tsbuildinfo"];

export function giveToOwner() {
  const { uid, gid } = lstatSync(root);
  if (process.getuid() !== 0 || uid === 0) return;
  const folders = readdirSync(root, { withFileTypes: true }).filter((one) => one.isDirectory());
  for (const folder of [root, ...folders.map(({ name }) => join(root, name))])
    for (const name of made) give(join(folder, name), uid, gid);
}

/** Links themselves, not what they point to: node_modules has some into the packages. */
function give(path, uid, gid) {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.uid === 0) lchownSync(path, uid, gid);
  if (found.isDirectory()) for (const name of readdirSync(path)) give(join(path, name), uid, gid);
}

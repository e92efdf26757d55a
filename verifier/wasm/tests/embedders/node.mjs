// In Node, with the package as npm would install it. Arguments: the folders of fixtures and expectations.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as sealwright from "sealwright-verifier";
import { examineEverything } from "./embedder.mjs";

const [fixtures, expectations] = process.argv.slice(2);
const from = (folder) => async (name) => new Uint8Array(readFileSync(join(folder, name)));
const count = await examineEverything(sealwright, from(fixtures), from(expectations));
console.log(`${count} messages: every expectation was met`);

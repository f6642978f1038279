// Builds dist/: for bundlers and Node as ES modules and as CommonJS, each with its types, and for pages one file, which is
// also written to where the node serves it from.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const served = `${here}../../node/static/chat/`;

/** Properties of our own objects that no program sees: the file for pages has short names for them. */
const INTERNAL = [
  "handleStatus handleWelcome handleFrame handleInterrupted buildQuery makeTransport isRenewable exists renew discard",
  "settings tokens owner link waiting queued isLive commands write onLate isFull messageMaxBytes answer canSend sendCommand exchange repeat finish wake proceed drop fail",
  "onOnline onDoubt onFrozen onThawed onSilence sendPing expectPings heard stop begin reset agentId onframe",
  "isJoined hasEnded recoverFrom enter interrupt receive command onEnd hears emit accept readMissed remember onMessage onGap",
  "onOk onFailed wanted isQueued repeats addMessage addMissed take head sizeMax socketClass",
  "hasMissed applySnapshot applyChange beginRequest endRequest",
].flatMap((names) => names.split(" "));

function compile(...options) {
  execFileSync(process.execPath, [`${here}node_modules/typescript/bin/tsc`, "-p", here, ...options], { stdio: "inherit" });
}

rmSync(`${here}dist`, { recursive: true, force: true });
mkdirSync(`${here}dist/cjs`, { recursive: true });
compile();
compile("--module", "commonjs", "--outDir", `${here}dist/cjs`);
writeFileSync(`${here}dist/cjs/package.json`, '{ "type": "commonjs" }\n');
await build({
  entryPoints: [`${here}src/index.ts`],
  outfile: `${here}dist/tannoy-client.js`,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  mangleProps: new RegExp(`^(${INTERNAL.join("|")})$`),
});
if (existsSync(served) && !process.argv.includes("--no-copy")) {
  copyFileSync(`${here}dist/tannoy-client.js`, `${served}tannoy-client.js`);
}

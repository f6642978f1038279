// The package as a user gets it: its size, the file that the node serves, and an install into an empty project.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const HERE = fileURLToPath(new URL("..", import.meta.url));
const SERVED = join(HERE, "../../node/static/chat/tannoy-client.js");
const GZIPPED_MAX_BYTES = 8000;

const CODE = `
import { connect, CommandRefused, Evicted, SessionEnded, type Gap, type Message, type Status } from "tannoy-client";
import { useAgent, useRoom } from "tannoy-client/react";

interface Said { text: string }

export async function chat(): Promise<string> {
  const client = connect("wss://chat.example", {
    token: async () => "a.b.c",
    onAuthError: (error) => console.log(error.code satisfies number | null),
  });
  client.on("state", (status: Status) => status.until?.toFixed());
  const room = await client.join<Said>("lobby");
  room.on("message", (message: Message<Said>) => message.content.text.trim());
  room.on("gap", ({ after, until }: Gap) => [after?.offset, until?.epoch]);
  const position = await room.send({ text: "hello" }, { key: "k" });
  // @ts-expect-error: content of another type
  await room.send({ txt: "hello" });
  // @ts-expect-error: no such event
  room.on("mesage", () => {});
  try {
    await client.agent("42").ready();
  } catch (error) {
    if (error instanceof CommandRefused) return error.code;
    if (error instanceof Evicted) return error.message;
    if (error instanceof SessionEnded) return String(error.code);
  }
  return \`\${position?.offset} \${[...room.presence.users.values()][0]?.username}\`;
}

export function Lobby() {
  const { items, send, users } = useRoom<Said>(connect("ws://localhost:8000"), "lobby");
  const agent = useAgent(connect("ws://localhost:8000"), null);
  void send({ text: "hello" });
  return items.map((item) => (item.type === "message" ? item.content.text : item.channel)).concat(users[0]!.userId, agent.status.state);
}
`;

let folder;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "tannoy-client-"));
  writeFileSync(join(folder, "package.json"), '{ "name": "empty", "private": true }');
  const npm = (...options) => execFileSync("npm", options, { cwd: HERE, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  npm("pack", "--ignore-scripts", "--silent", "--pack-destination", folder);
  const archive = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  npm("install", "--prefix", folder, "--offline", "--no-audit", "--no-fund", "--silent", join(folder, archive));
});
after(() => rmSync(folder, { recursive: true, force: true }));

test("the client of pages has at most 8 kB when it is gzipped", () => {
  const { length } = gzipSync(readFileSync(join(HERE, "dist/tannoy-client.js")), { level: 9 });

  assert.ok(length <= GZIPPED_MAX_BYTES, `${length} bytes`);
});

test("the file that the node serves is what the build gives", () => {
  assert.equal(readFileSync(SERVED, "utf8"), readFileSync(join(HERE, "dist/tannoy-client.js"), "utf8"));
});

test("the package needs no other one", () => {
  const { dependencies } = JSON.parse(readFileSync(join(folder, "node_modules/tannoy-client/package.json"), "utf8"));

  assert.equal(dependencies, undefined);
  assert.deepEqual(readdirSync(join(folder, "node_modules")).filter((name) => !name.startsWith(".")), ["tannoy-client"]);
});

test("the package is imported, and required", () => {
  const run = (...options) => execFileSync(process.execPath, options, { cwd: folder, encoding: "utf8" }).trim();

  assert.equal(run("--input-type=module", "-e", 'import { connect } from "tannoy-client"; console.log(typeof connect)'), "function");
  assert.equal(run("-e", 'console.log(typeof require("tannoy-client").connect)'), "function");
});

for (const [extension, resolution] of [["mts", "nodenext"], ["cts", "nodenext"], ["ts", "bundler"]]) {
  test(`a strict project in TypeScript takes its types, from .${extension} with ${resolution}`, () => {
    const file = join(folder, `chat.${extension}`);
    writeFileSync(file, CODE);
    const types = join(HERE, "node_modules/@types");
    rmSync(join(folder, "node_modules/@types"), { force: true });
    symlinkSync(types, join(folder, "node_modules/@types")); // those of React
    const modules = resolution === "bundler" ? "esnext" : resolution;
    const options = ["--strict", "--noEmit", "--target", "es2022", "--module", modules, "--moduleResolution", resolution];
    const compile = () =>
      execFileSync(process.execPath, [join(HERE, "node_modules/typescript/bin/tsc"), ...options, file], { cwd: folder, encoding: "utf8" });

    assert.doesNotThrow(compile, (error) => assert.fail(error.stdout));
  });
}

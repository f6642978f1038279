// A real cluster: `tannoy up` with an embedded Valkey, tokens, and a short history.
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { within } from "./scripted-node.mjs";

const PROJECT = fileURLToPath(new URL("../../../..", import.meta.url));
const SECRET = "a secret of the tests: 32 bytes.";
const API_KEY = "key-of-the-tests";
export const HISTORY_SIZE = 20;

function findPython() {
  const ofProject = `${PROJECT}.venv/bin/python`;
  return process.env.TANNOY_PYTHON ?? (existsSync(ofProject) ? ofProject : "python3");
}

/** The first of three ports of which nobody listens on any. */
async function findPorts() {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 10_000);
    if (await Promise.all([first, first + 1, first + 2].map(isFree)).then((all) => all.every(Boolean))) return first;
  }
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

export class Cluster {
  static async start() {
    const cluster = new Cluster();
    cluster.port = await findPorts();
    cluster.process = spawn(findPython(), ["-m", "tannoy", "up", "--nodes", "2", "--port", `${cluster.port}`], {
      env: {
        ...process.env,
        TANNOY_AUTH: "jwt",
        TANNOY_JWT_SECRET: SECRET,
        TANNOY_API_KEY: API_KEY,
        TANNOY_HISTORY_SIZE: `${HISTORY_SIZE}`,
        TANNOY_DRAIN_DELAY: "0",
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [cluster.process.stdout, cluster.process.stderr]) stream.on("data", (data) => (output += data));
    cluster.process.on("exit", (code) => (cluster.exit = code));
    await within(cluster.#waitUntilReady(() => output), "the cluster");
    return cluster;
  }

  async #waitUntilReady(output) {
    for (const node of [1, 2]) {
      while (!(await fetch(`http://127.0.0.1:${this.port + node}/health/ready`).then((answer) => answer.ok, () => false))) {
        if (this.exit !== undefined) throw new Error(`tannoy up has ended with ${this.exit}: ${output()}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  /** The address of node 1 or 2. */
  url(node = 1) {
    return `ws://127.0.0.1:${this.port + node}`;
  }

  async call(method, path, body) {
    const answer = await fetch(`http://127.0.0.1:${this.port}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${API_KEY}`, "Content-Type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? null : answer.json();
  }

  async stop() {
    if (this.exit !== undefined) return;
    this.process.kill("SIGTERM");
    await once(this.process, "exit");
  }
}

/** A token of HS256; by default for an hour, all rooms and agents. */
export function sign(sub, claims = {}) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ sub, name: sub, exp, agents: ["*"], ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

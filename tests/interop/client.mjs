// A client with npm `ws` and msgpack. Usage: node client.mjs URL
// Reads commands as lines of JSON from standard input, writes every frame it gets as a line of JSON.
import { createInterface } from "node:readline";
import { decode, encode } from "@msgpack/msgpack";
import WebSocket from "ws";

const socket = new WebSocket(process.argv[2], "tannoy.v1.msgpack");
socket.on("message", (data, isBinary) => {
  if (!isBinary) throw new Error("a text frame on a msgpack socket");
  process.stdout.write(JSON.stringify(decode(data)) + "\n");
});
socket.on("close", (code) => process.exit(code === 1000 ? 0 : 1));
createInterface({ input: process.stdin })
  .on("line", (line) => socket.send(encode(JSON.parse(line))))
  .on("close", () => socket.close(1000));

// What stands between a client and its node: it can cut the connections, refuse new ones, and hold back what the node says.
import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Proxy {
  #sockets = new Set();
  #isMute = false;
  #isCut = false;

  static async start(target) {
    const proxy = new Proxy();
    const { hostname, port } = new URL(target);
    proxy.server = createServer((client) => proxy.#accept(client, connect(Number(port), hostname)));
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    proxy.url = `ws://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  #accept(client, node) {
    for (const socket of [client, node]) {
      this.#sockets.add(socket);
      socket.on("error", () => {}); // a reset is what this is for
      socket.on("close", () => {
        this.#sockets.delete(socket);
        (socket === client ? node : client).destroy();
      });
    }
    if (this.#isCut) client.destroy();
    client.pipe(node);
    node.on("data", (data) => this.#isMute || client.write(data));
  }

  /** End all connections, and refuse new ones until `restore`. */
  cut() {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Lose what the node says from now on. */
  mute() {
    this.#isMute = true;
  }

  restore() {
    this.#isCut = this.#isMute = false;
  }

  stop() {
    this.cut();
    this.server.close();
  }
}

import assert from "node:assert/strict";
import { test } from "node:test";

import { WebSocket } from "ws";

import * as tannoy from "../dist/esm/index.js";

const make = (url = "ws://127.0.0.1:1", options = {}) => tannoy.connect(url, { WebSocket, autoConnect: false, ...options });

for (const url of ["127.0.0.1:8000", "ftp://host", "ws://", "ws://host/?token=1", "ws://host/#a", ""]) {
  test(`${JSON.stringify(url)} is no address of a cluster`, () => {
    assert.throws(() => make(url), tannoy.ClientError);
  });
}

for (const url of ["ws://host", "wss://host:443/", "https://host/rt/", "http://[::1]:8000"]) {
  test(`${url} is an address of a cluster`, () => {
    make(url).close();
  });
}

for (const options of [{ timeout: 0 }, { maxAttempts: -1 }, { queueSize: NaN }, { maxQueued: "many" }, { sendTimeout: 300 }]) {
  test(`${Object.entries(options)} is refused, by its name`, () => {
    assert.throws(() => make(undefined, options), new RegExp(Object.keys(options)[0]));
  });
}

test("an unknown policy is refused with those that are known", () => {
  assert.throws(() => make(undefined, { queuePolicy: "drop" }), /refuse, drop_oldest/);
});

test("a blank token is refused before anything is connected", () => {
  assert.throws(() => make(undefined, { token: " " }), tannoy.TokenRefused);
});

for (const [name, told] of [["käse", /ä/], ["a b", /: ./], ["", /0 characters/], ["x".repeat(129), /129 characters/]]) {
  test(`the room ${JSON.stringify(name.slice(0, 5))} of ${name.length} characters is refused before anything is sent`, () => {
    const client = make();
    assert.throws(() => client.room(name), (error) => error instanceof tannoy.BadName && told.test(error.message));
    assert.throws(() => client.agent(name), tannoy.BadName);
  });
}

test("where there is no WebSocket the error says where one is to be had", { skip: "WebSocket" in globalThis }, () => {
  assert.throws(() => tannoy.connect("ws://host"), /package ws/);
});

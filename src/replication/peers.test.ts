import assert from "node:assert/strict";
import { test } from "node:test";
import { readPeers } from "./peers.ts";

const sources = {
  environment: { PEER_SECRET: "from-the-environment" },
  readFile: (path: string) => `content of ${path}\n`.replaceAll(" ", "-"),
};
const peer = { region: "eu-west-1", url: "https://peer.example", accessKeyId: "AKIAAAAAAAAAAAAAAAAA" };
const secret = { secretAccessKey: "0123456789abcdef" };

test("a peer is read, its secret from where it is", () => {
  const cases: readonly (readonly [object, string])[] = [
    [secret, "0123456789abcdef"],
    [{ secretAccessKeyFile: "/run/secret" }, "content-of-/run/secret"],
    [{ secretAccessKeyEnvironment: "PEER_SECRET" }, "from-the-environment"],
  ];
  for (const [more, expected] of cases) {
    const found = readPeers([{ ...peer, ...more, accounts: { "111111111111": "222222222222" } }], sources).get("eu-west-1");
    assert.deepEqual(found, {
      region: "eu-west-1",
      origin: "https://peer.example",
      accessKeyId: peer.accessKeyId,
      secretAccessKey: expected,
      accounts: new Map([["111111111111", "222222222222"]]),
    });
  }
  assert.equal(readPeers(undefined, sources).size, 0);
  assert.equal(readPeers(null, sources).size, 0);
});

test("what is wrong is said by its place, and never with a secret", () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    ["text", /list of peers/],
    [[{ ...peer, ...secret, region: "MARS" }], /peer 1 region: expected a region name/],
    [[{ ...peer, ...secret, url: "ftp://x" }], /peer 1 url: expected http/],
    [[{ ...peer, ...secret, url: "https://user:pass@x" }], /peer 1 url/],
    [[{ ...peer, ...secret, url: "https://x/path" }], /peer 1 url/],
    [[{ ...peer, ...secret, accessKeyId: "short" }], /peer 1 accessKeyId/],
    [[{ ...peer, ...secret, accounts: { "1": "2" } }], /peer 1 accounts/],
    [[{ ...peer, ...secret, other: "x" }], /peer 1/],
    [[peer], /eu-west-1: exactly one of secretAccessKey/],
    [[{ ...peer, ...secret, secretAccessKeyEnvironment: "PEER_SECRET" }], /exactly one/],
    [[{ ...peer, secretAccessKeyEnvironment: "MISSING" }], /16 to 256 printable/],
    [[{ ...peer, secretAccessKey: "hunter2" }], /16 to 256 printable/],
    [
      [
        { ...peer, ...secret },
        { ...peer, ...secret },
      ],
      /two peers are named eu-west-1/,
    ],
  ];
  for (const [content, expected] of cases) {
    assert.throws(
      () => readPeers(content, sources),
      (error: Error) => {
        assert.match(error.message, expected);
        assert.doesNotMatch(error.message, /hunter2|0123456789abcdef|pass@/);
        return true;
      },
    );
  }
});

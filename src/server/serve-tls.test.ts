/** TLS from files, in a real server process, with a certificate that openssl signs for the test. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectPlain } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, getCACertificates, setDefaultCACertificates } from "node:tls";
import { CreateRepositoryCommand, GetAuthorizationTokenCommand } from "@aws-sdk/client-ecr";
import { createEcrClient, registryPassword } from "../../test/aws-client.ts";
import { needs } from "../../test/clients/tool.ts";
import { createOciClient } from "../../test/oci-client.ts";
import { startServerProcess } from "../../test/server-process.ts";
import type { ServerProcess } from "../../test/server-process.ts";

const installed = needs("openssl");
let folder: string;
let server: ServerProcess;

/** Signs a certificate for this machine and answers its text. */
function makeCertificate(name: string): string {
  const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
  const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const made = spawnSync("openssl", ["req", "-x509", ...kind, ...subject, "-keyout", key, "-out", cert], { encoding: "utf8" });
  assert.equal(made.status, 0, made.stderr);
  return readFileSync(cert, "utf8");
}

function environmentOf(certificate: string, key: string): Record<string, string> {
  return { SUPERCARGO_TLS_CERT: join(folder, certificate), SUPERCARGO_TLS_KEY: join(folder, key), SUPERCARGO_SHUTDOWN_SECONDS: "30" };
}

before(async () => {
  if (installed.skip !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "supercargo-tls-"));
  const certificates = [makeCertificate("first"), makeCertificate("second")];
  setDefaultCACertificates([...getCACertificates(), ...certificates]);
  for (const kind of ["pem", "key"]) copyFileSync(join(folder, `first.${kind}`), join(folder, `used.${kind}`));
  server = await startServerProcess({ environment: environmentOf("used.pem", "used.key") });
});
after(async () => {
  if (installed.skip !== undefined) return;
  await server.close();
  rmSync(folder, { recursive: true });
});

/** The common name of the certificate that the server shows. */
async function certificateName(): Promise<string | string[] | undefined> {
  const socket = connect({ port: server.port, host: "127.0.0.1" });
  await once(socket, "secureConnect");
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return subject.CN;
}

test("push and pull over TLS, and the API names https", installed, async () => {
  assert.match(server.output(), /listening on https:\/\/127\.0\.0\.1.*AWS_ENDPOINT_URL=https:\/\/localhost/s);
  const client = createEcrClient(server.url);
  await client.send(new CreateRepositoryCommand({ repositoryName: "sealed" }));
  const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}));
  assert.equal(authorizationData?.[0]?.proxyEndpoint, server.url);
  const oci = createOciClient(server.url, await registryPassword(client));
  const { digest } = await oci.pushImage("sealed", "1", [Buffer.from("layer")]);
  assert.equal((await oci.verifyImage("sealed", "1")).digest, digest);
});

test("old TLS and plain HTTP are not answered", installed, async () => {
  const old = connect({ port: server.port, host: "127.0.0.1", maxVersion: "TLSv1.1", minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" });
  await assert.rejects(once(old, "secureConnect"));
  const plain = connectPlain(server.port, "127.0.0.1", () => plain.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  const received: Buffer[] = [];
  plain.on("data", (chunk: Buffer) => received.push(chunk)).on("error", () => undefined);
  await once(plain, "close");
  assert.ok(!Buffer.concat(received).includes("200"));
});

test("SIGHUP reads the certificate again; a broken one leaves the old one in place", installed, async () => {
  assert.equal(await certificateName(), "first");
  for (const kind of ["pem", "key"]) copyFileSync(join(folder, `second.${kind}`), join(folder, `used.${kind}`));
  server.child.kill("SIGHUP");
  for (let waited = 0; (await certificateName()) !== "second"; waited += 20) {
    assert.ok(waited < 3_000, "the new certificate is not in use");
    await sleep(20);
  }
  writeFileSync(join(folder, "used.pem"), "broken");
  server.child.kill("SIGHUP");
  for (let waited = 0; !server.output().includes("certificate could not be read again"); waited += 20) {
    assert.ok(waited < 3_000, "the broken certificate was not reported");
    await sleep(20);
  }
  assert.equal(await certificateName(), "second");
  assert.equal((await fetch(`${server.url}/readyz`)).status, 200);
});

test("a handshake that never ends does not hold up the end", installed, async () => {
  const silent = connectPlain(server.port, "127.0.0.1");
  await once(silent, "connect");
  silent.on("error", () => undefined);
  const idle = connect({ port: server.port, host: "127.0.0.1" });
  await once(idle, "secureConnect");
  idle.on("error", () => undefined);
  const exited = once(server.child, "exit");
  const startedAt = performance.now();
  server.child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
  assert.ok(performance.now() - startedAt < 5_000);
});

const refusals: readonly (readonly [what: string, certificate: string, key: string, words: RegExp])[] = [
  ["a file that is not there", "none.pem", "first.key", /TLS certificate or key cannot be read: ENOENT.*none\.pem/],
  ["a key of another certificate", "first.pem", "second.key", /first\.pem and key .*second\.key are not usable together/],
  ["a file that is no certificate", "first.key", "first.key", /are not usable together \(PEM files of one pair/],
];
for (const [what, certificate, key, words] of refusals) {
  test(`refused: ${what}`, installed, async () => {
    await assert.rejects(startServerProcess({ folder: join(folder, "refused"), environment: environmentOf(certificate, key) }), (error) => {
      assert.match(String(error), /the server ended with 2/);
      assert.match(String(error), words);
      return true;
    });
  });
}

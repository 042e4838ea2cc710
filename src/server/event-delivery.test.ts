/** Events of the real server, to a real receiver and to the command line. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { BatchDeleteImageCommand, CreateRepositoryCommand } from "@aws-sdk/client-ecr";
import type { EcrEvent } from "#events/event.ts";
import { until } from "#std/testing/until.ts";
import { createEcrClient, registryPassword } from "../../test/aws-client.ts";
import { mustRun } from "../../test/clients/tool.ts";
import { createOciClient } from "../../test/oci-client.ts";
import { startServerProcess } from "../../test/server-process.ts";

const main = new URL("../cli/main.ts", import.meta.url).pathname;

function linesOf(text: string): EcrEvent[] {
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as EcrEvent]));
}

test("a server that is killed while its receiver answers tells the same again, and the command line shows it all", async () => {
  const folder = mkdtempSync(join(tmpdir(), "event-delivery-"));
  const received: EcrEvent[][] = [];
  let beforeAnswer: () => Promise<void> = async () => {};
  const receiver = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
    request.once("end", () => {
      received.push(JSON.parse(body) as EcrEvent[]);
      void beforeAnswer().then(() => response.writeHead(204).end());
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const file = join(folder, "targets.yaml");
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  writeFileSync(
    file,
    `targets:
  - { name: hook, type: webhook, url: "${url}", secret: { env: HOOK_SECRET } }
  - { name: disk, type: file, path: "${join(folder, "events.jsonl")}" }
`,
  );
  const environment = { SUPERCARGO_EVENT_TARGETS: file, HOOK_SECRET: "a long enough secret", SUPERCARGO_TRUSTED_HOSTS: "127.0.0.1" };
  const start = () => startServerProcess({ folder: join(folder, "data"), environment });
  let server = await start();
  try {
    beforeAnswer = () => server.kill("SIGKILL");
    const client = createEcrClient(server.url);
    await client.send(new CreateRepositoryCommand({ repositoryName: "shop/web" }));
    const { digest } = await createOciClient(server.url, await registryPassword(client)).pushImage("shop/web", "v7", [
      Buffer.from("layer"),
    ]);
    await until(() => server.child.signalCode !== null);
    assert.equal(received.length, 1);
    beforeAnswer = async () => {};
    server = await start();
    await until(() => received.length === 2);
    assert.deepEqual(received[0], received[1]);
    assert.deepEqual(
      received[1]?.map(({ detail }) => detail),
      [
        {
          result: "SUCCESS",
          "repository-name": "shop/web",
          "image-digest": digest,
          "action-type": "PUSH",
          "image-tag": "v7",
          "manifest-media-type": "application/vnd.oci.image.manifest.v1+json",
          "artifact-media-type": "application/vnd.oci.image.config.v1+json",
        },
      ],
    );

    const words = ["events", "tail", "--data", join(folder, "data"), "--repository", "shop/*"];
    const tail = spawn(process.execPath, [main, ...words, "--from", "1h"], { env: { PATH: process.env["PATH"] ?? "" } });
    let shown = "";
    tail.stdout.on("data", (chunk: Buffer) => (shown += chunk.toString()));
    await until(() => linesOf(shown).length === 1);
    const after = createEcrClient(server.url);
    await after.send(new BatchDeleteImageCommand({ repositoryName: "shop/web", imageIds: [{ imageTag: "v7" }] }));
    await until(() => received.length === 3 && linesOf(shown).length === 2);
    tail.kill();
    assert.deepEqual(linesOf(shown), [received[1]?.[0], received[2]?.[0]]);
    assert.equal(received[2]?.[0]?.detail["action-type"], "DELETE");
    const all = await mustRun([process.execPath, main, ...words, "--from", "beginning", "--no-follow", "--type", "ECR Image Action"]);
    assert.deepEqual(linesOf(all), linesOf(shown));
    assert.equal(await mustRun([process.execPath, main, "events", "refused", "--data", join(folder, "data")]), "");

    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    assert.match(metrics, /^supercargo_events_lag_seconds\{target="hook"\} 0$/m);
    assert.match(metrics, /^supercargo_events_delivered_total\{target="hook"\} 2$/m);
  } finally {
    await server.close();
    receiver.closeAllConnections();
    receiver.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

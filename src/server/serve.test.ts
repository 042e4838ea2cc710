/** What an operator meets in a real server process: the root key, `--dev`, names behind a proxy, the settings file, refusals. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CreateRepositoryCommand,
  DescribeRepositoriesCommand,
  GetAuthorizationTokenCommand,
  GetDownloadUrlForLayerCommand,
} from "@aws-sdk/client-ecr";
import { createEcrClient, registryPassword } from "../../test/aws-client.ts";
import { mustRun, needs, runTool } from "../../test/clients/tool.ts";
import type { ToolResult } from "../../test/clients/tool.ts";
import { createOciClient } from "../../test/oci-client.ts";
import { freePort, rootKey, startServerProcess } from "../../test/server-process.ts";
import type { ServerProcess } from "../../test/server-process.ts";
import { settingRows } from "./setting-rows.ts";
import { flagOf } from "./settings.ts";

const root = new URL("../..", import.meta.url).pathname;
const main = join(root, "src/cli/main.ts");
const noRootKey = { SUPERCARGO_ROOT_ACCESS_KEY_ID: "", SUPERCARGO_ROOT_SECRET_ACCESS_KEY: "" };
let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "supercargo-serve-"));
});
after(() => rmSync(folder, { recursive: true }));

interface Key {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** The key in two lines for a shell. */
function readKey(text: string): Key {
  const [accessKeyId = "", secretAccessKey = ""] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(
    (name) => new RegExp(`export ${name}='([^']+)'`).exec(text)?.[1],
  );
  assert.ok(accessKeyId !== "" && secretAccessKey !== "", `no key in: ${text}`);
  return { accessKeyId, secretAccessKey };
}

/** The notice comes a moment after the server is ready. */
async function untilSaid(server: ServerProcess, words: RegExp): Promise<string> {
  for (let waited = 0; !words.test(server.output()); waited += 10) {
    assert.ok(waited < 5_000, `${String(words)} is not in: ${server.output()}`);
    await sleep(10);
  }
  return server.output();
}

/** Does a signed call with this key succeed? */
async function works(url: string, key: Key): Promise<boolean> {
  const call = createEcrClient(url, "us-east-1", key).send(new DescribeRepositoriesCommand({}));
  return call.then(
    () => true,
    (error: unknown) => {
      assert.match(String(error), /UnrecognizedClient|InvalidSignature/);
      return false;
    },
  );
}

test("the root key goes into a 0600 file when nobody looks, and its reset stops old keys and tokens at once", async () => {
  const data = join(folder, "not-a-terminal");
  const file = join(data, "root-access-key.env");
  let server = await startServerProcess({ folder: data, environment: noRootKey });
  try {
    await untilSaid(server, /the root access key was written to this file: move it to a safe place\)\n {2}\. \/.*root-access-key\.env\n/);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const first = readKey(readFileSync(file, "utf8"));
    assert.ok(!server.output().includes(first.secretAccessKey));
    assert.ok(await works(server.url, first));
    const oci = createOciClient(server.url, await registryPassword(createEcrClient(server.url, "us-east-1", first)));
    assert.equal((await oci.request("GET", "/v2/")).status, 200);

    const said = await mustRun([process.execPath, main, "root", "reset", "--data", data]);
    assert.match(said, /The new root access key was written to .*root-access-key\.env\n$/);
    const second = readKey(readFileSync(file, "utf8"));
    assert.ok(!said.includes(second.secretAccessKey));
    assert.equal((await oci.request("GET", "/v2/")).status, 401);
    assert.deepEqual([await works(server.url, first), await works(server.url, second)], [false, true]);
    await server.kill("SIGTERM");

    server = await startServerProcess({ folder: data, environment: noRootKey });
    await untilSaid(server, /the root access key of an earlier start is still in this file.*\n {2}\. \/.*root-access-key\.env\n/);
    assert.ok(await works(server.url, second));
    rmSync(file);
    await server.kill("SIGTERM");
    server = await startServerProcess({ folder: data, environment: noRootKey });
    await untilSaid(server, /the root access key that the first start showed.*supercargo root reset/s);
    assert.ok(await works(server.url, second));
  } finally {
    await server.close();
  }
});

test("after the loss of the instance key the start says what to do, and that works", async () => {
  const data = join(folder, "lost-key");
  const keyFile = join(data, "instance.key");
  let server = await startServerProcess({ folder: data, environment: noRootKey });
  await server.close();
  rmSync(keyFile);
  const start = (): Promise<ToolResult> => runTool([process.execPath, main, "serve", "--data", data, "--listen", "127.0.0.1:0"]);
  const missing = await start();
  assert.deepEqual([missing.status, missing.stdout], [2, ""]);
  assert.match(missing.stderr, /^supercargo: the instance key .*instance\.key is missing.*restore it from your backup\n$/);
  await mustRun([process.execPath, main, "key", "make", keyFile]);
  const foreign = await start();
  assert.deepEqual([foreign.status, foreign.stdout], [2, ""]);
  assert.match(foreign.stderr, /^supercargo: the root key in the database was sealed under an instance key.*supercargo root reset\n$/);
  await mustRun([process.execPath, main, "root", "reset", "--data", data]);
  server = await startServerProcess({ folder: data, environment: noRootKey });
  assert.ok(await works(server.url, readKey(readFileSync(join(data, "root-access-key.env"), "utf8"))));
  await server.close();
});

test("on a terminal the root key is shown, once, and in no file", needs("script"), async () => {
  const data = join(folder, "terminal");
  const wrapper = ["sh", "-c", 'exec script -qefc "$*" /dev/null', "sh"];
  const server = await startServerProcess({ folder: data, environment: noRootKey, wrapper });
  try {
    await untilSaid(server, /docker push/);
    await untilSaid(server, /the root access key, shown this once/);
    assert.ok(await works(server.url, readKey(server.output())));
    assert.throws(() => statSync(join(data, "root-access-key.env")), /ENOENT/);
  } finally {
    await server.close();
  }
});

test("a root key in the environment wins at each start", async () => {
  const data = join(folder, "given");
  const other = { accessKeyId: "AKIAANOTHERROOTKEY00", secretAccessKey: "another/Secret+Key0123456789" };
  for (const [key, replaced] of [
    [rootKey, other],
    [other, rootKey],
    [rootKey, other],
  ] as const) {
    const environment = { SUPERCARGO_ROOT_ACCESS_KEY_ID: key.accessKeyId, SUPERCARGO_ROOT_SECRET_ACCESS_KEY: key.secretAccessKey };
    const server = await startServerProcess({ folder: data, environment });
    assert.deepEqual([await works(server.url, key), await works(server.url, replaced)], [true, false]);
    await untilSaid(server, /the root access key that the settings give/);
    assert.ok(!server.output().includes(key.secretAccessKey));
    await server.close();
  }
});

test("--dev takes any key, lets 12 digits name the account, and says aloud what it is", async () => {
  const server = await startServerProcess({ environment: { ...noRootKey, SUPERCARGO_DEV: "1" } });
  try {
    await untilSaid(server, /"level":"warn".*signatures are not verified/);
    await untilSaid(server, /ANY access key is accepted and signatures are NOT verified.*AWS_ACCESS_KEY_ID=dev/s);
    const owners = { dev: "000000000000", "111122223333": "111122223333", AKIAWHOEVER: "000000000000" };
    for (const [accessKeyId, accountId] of Object.entries(owners)) {
      const client = createEcrClient(server.url, "us-east-1", { accessKeyId, secretAccessKey: "whatever" });
      const { repository } = await client.send(new CreateRepositoryCommand({ repositoryName: `of/${accessKeyId.toLowerCase()}` }));
      assert.equal(repository?.registryId, accountId);
      const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}));
      const authorization = `Basic ${authorizationData?.[0]?.authorizationToken}`;
      assert.equal((await fetch(`${server.url}/v2/`, { headers: { authorization } })).status, 200);
    }
  } finally {
    await server.close();
  }
});

test("behind another published port SUPERCARGO_PUBLIC_URL makes every name right", async () => {
  const port = await freePort();
  const published = createServer((client) => {
    const inner = connect(port, "127.0.0.1");
    client.pipe(inner).pipe(client);
    client.on("error", () => inner.destroy());
    inner.on("error", () => client.destroy());
  });
  await new Promise<void>((resolve) => void published.listen(0, "127.0.0.1", resolve));
  const publicHost = `localhost:${(published.address() as AddressInfo).port}`;
  const server = await startServerProcess({ port, environment: { SUPERCARGO_PUBLIC_URL: `http://${publicHost}` } });
  try {
    await untilSaid(server, new RegExp(`AWS_ENDPOINT_URL=http://${publicHost} .*--password-stdin ${publicHost}`, "s"));
    for (const [index, url] of [`http://${publicHost}`, server.url].entries()) {
      const client = createEcrClient(url);
      const { repository } = await client.send(new CreateRepositoryCommand({ repositoryName: `shop/web${index}` }));
      assert.equal(repository?.repositoryUri, `${publicHost}/shop/web${index}`);
      const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}));
      assert.equal(authorizationData?.[0]?.proxyEndpoint, `http://${publicHost}`);
      const oci = createOciClient(`http://${publicHost}`, await registryPassword(client));
      const layer = Buffer.from(`layer ${index}`);
      await oci.pushImage(`shop/web${index}`, "1", [layer]);
      const { digest } = await oci.pushBlob(`shop/web${index}`, layer);
      const { downloadUrl } = await client.send(
        new GetDownloadUrlForLayerCommand({ repositoryName: `shop/web${index}`, layerDigest: digest }),
      );
      assert.equal(downloadUrl?.startsWith(`http://${publicHost}/download/`), true);
      assert.ok(Buffer.from(await (await fetch(downloadUrl ?? "")).arrayBuffer()).equals(layer));
    }
  } finally {
    published.close();
    await server.close();
  }
});

test("SUPERCARGO_DOMAIN=amazonaws.com gives ECR's own names", async () => {
  const environment = {
    SUPERCARGO_DOMAIN: "amazonaws.com",
    SUPERCARGO_ACCOUNT: "111122223333",
    SUPERCARGO_REGION: "eu-west-1",
    SUPERCARGO_PUBLIC_URL: "https://api.ecr.eu-west-1.amazonaws.com",
    SUPERCARGO_TRUSTED_PROXIES: "127.0.0.1",
  };
  const server = await startServerProcess({ environment });
  try {
    const name = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
    await untilSaid(
      server,
      new RegExp(`AWS_ENDPOINT_URL=https://api\\.ecr\\.eu-west-1\\.amazonaws\\.com .*--password-stdin ${name}\n`, "s"),
    );
    const client = createEcrClient(server.url, "eu-west-1");
    client.middlewareStack.add(
      (next) => (call) => {
        (call.request as { headers: Record<string, string> }).headers["x-forwarded-proto"] = "https";
        return next(call);
      },
      { step: "build" },
    );
    const { repository } = await client.send(new CreateRepositoryCommand({ repositoryName: "shop/web" }));
    assert.equal(repository?.repositoryUri, `${name}/shop/web`);
    assert.equal(repository?.repositoryArn, "arn:aws:ecr:eu-west-1:111122223333:repository/shop/web");
    const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}));
    assert.equal(authorizationData?.[0]?.proxyEndpoint, `https://${name}`);
    const authorization = `Basic ${authorizationData?.[0]?.authorizationToken}`;
    const askAs = async (host: string): Promise<number> =>
      Number(
        await mustRun([
          "curl",
          "-s",
          "-o",
          "/dev/null",
          "-w",
          "%{http_code}",
          "-H",
          `Authorization: ${authorization}`,
          "-H",
          `Host: ${host}`,
          `${server.url}/v2/shop/web/tags/list`,
        ]),
      );
    assert.equal(await askAs(name), 200);
    assert.equal(await askAs("111122223333.dkr-ecr.eu-west-1.on.aws"), 200);
    assert.equal(await askAs("111122223333.dkr.ecr.us-east-1.amazonaws.com"), 404);
  } finally {
    await server.close();
  }
});

test("a settings file named by SUPERCARGO_CONFIG; the environment is stronger", async () => {
  const file = join(folder, "settings.yaml");
  writeFileSync(
    file,
    "# ours\naccount: 000000000042\nregion: eu-north-1\nregions: [eu-north-1, eu-west-1]\nundo-days: 0\nshutdownSeconds: 5\n",
  );
  const server = await startServerProcess({ environment: { SUPERCARGO_CONFIG: file, SUPERCARGO_REGION: "eu-west-1" } });
  try {
    await untilSaid(server, /\(account 000000000042, region eu-west-1\)/);
    const { repository } = await createEcrClient(server.url, "eu-north-1").send(new CreateRepositoryCommand({ repositoryName: "filed" }));
    assert.equal(repository?.repositoryArn, "arn:aws:ecr:eu-north-1:000000000042:repository/filed");
  } finally {
    await server.close();
  }
});

test("a server on a folder in use, on a port in use, or open to the network is refused with 2 and clear words", async () => {
  const server = await startServerProcess();
  try {
    const free = ["--listen", "127.0.0.1:0", "--data", join(folder, "refused")];
    const refusals: readonly (readonly [flags: readonly string[], words: RegExp])[] = [
      [[...free, "--data", server.folder], /^supercargo: the data folder .* is in use by another supercargo process/],
      [
        [...free, "--listen", `127.0.0.1:${server.port}`],
        /^supercargo: cannot listen on 127\.0\.0\.1:\d+: something else listens there already/,
      ],
      [
        [...free, "--listen", "0.0.0.0:0"],
        /^supercargo: refusing to listen on 0\.0\.0\.0 without TLS.*SUPERCARGO_TLS_CERT.*SUPERCARGO_ALLOW_PLAINTEXT=1/,
      ],
      [
        [...free, "--listen", "nowhere", "--account", "7"],
        /^supercargo: SUPERCARGO_LISTEN .*\nsupercargo: SUPERCARGO_ACCOUNT .*12 digits\n$/,
      ],
    ];
    for (const [flags, words] of refusals) {
      const result = await runTool([process.execPath, main, "serve", ...flags], { timeoutMs: 10_000 });
      assert.deepEqual([result.status, result.stdout], [2, ""]);
      assert.match(result.stderr, words);
      assert.ok(!/^ {4}at /m.test(result.stderr), "a stack is for programmers");
    }
    assert.ok(await works(server.url, rootKey));
  } finally {
    await server.close();
  }
});

test("npm start -- --help lists every setting with its flag and its variable", needs("npm"), async () => {
  const help = await mustRun(["npm", "start", "--", "--help"], { cwd: root });
  const missing = Object.values(settingRows).filter((row) => !help.includes(`${flagOf(row)} `) || !help.includes(`[${row.env}]`));
  assert.deepEqual(missing, []);
});

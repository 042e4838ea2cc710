/** The three clients that go the journey through ECR: boto3, the aws cli and AWS's SDK for JavaScript. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import * as sdk from "@aws-sdk/client-ecr";
import type { ECRClient } from "@aws-sdk/client-ecr";
import { createEcrClient } from "../aws-client.ts";
import type { ServerProcess } from "../server-process.ts";
import type { EcrDriver, Members } from "./ecr-steps.ts";
import { json, mustRun, runTool } from "./tool.ts";

/** A client with its end. */
export interface OpenDriver {
  readonly driver: EcrDriver;
  readonly close: () => void;
}

/** A python program with boto3 in it, which is told what to do. */
export function openBoto3(server: ServerProcess): OpenDriver {
  const program = new URL("boto3/ecr.py", import.meta.url).pathname;
  const environment = { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", ...server.awsEnvironment };
  const child = spawn("python3", [program], { env: { ...environment, PYTHONDONTWRITEBYTECODE: "1" }, stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async <T>(...words: readonly unknown[]): Promise<T> => {
    child.stdin.write(`${JSON.stringify(words)}\n`);
    const line = await lines.next();
    if (line.done === true) throw new Error("the python program has ended");
    const { answer, error } = json<{ answer?: T; error?: string }>(line.value);
    if (error !== undefined || answer === undefined) throw new Error(`${String(words[1])}: ${error}`);
    return answer;
  };
  return {
    driver: {
      call: (operation, input) => ask("call", operation, input),
      items: (operation, input, pageSize) => ask("items", operation, input, pageSize),
      wait: (waiter, input) => ask("wait", waiter, input),
    },
    close: () => void child.stdin.end(),
  };
}

/** What the paginators find, by operation. */
const resultKeys: Readonly<Record<string, string>> = {
  ListImages: "imageIds",
  DescribeImages: "imageDetails",
  DescribeRepositories: "repositories",
  DescribeImageScanFindings: "imageScanFindings",
  GetLifecyclePolicyPreview: "previewResults",
  DescribePullThroughCacheRules: "pullThroughCacheRules",
  DescribeRepositoryCreationTemplates: "repositoryCreationTemplates",
};

function itemsIn(operation: string, page: Members): readonly unknown[] {
  const found = page[resultKeys[operation] ?? ""] ?? [];
  return Array.isArray(found) ? found : Object.values(found as Members).flat();
}

/** The aws cli, a process a call. */
export function openCli(server: ServerProcess): OpenDriver {
  const folder = mkdtempSync(join(tmpdir(), "supercargo-ecr-api-"));
  const file = (name: string, content: string | Buffer): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const words = (operation: string, { layerPartBlob, ...input }: Members): string[] => {
    const command = ["aws", "ecr", kebab(operation), "--output", "json"];
    command.push("--cli-input-json", `file://${file("input.json", JSON.stringify(input))}`);
    if (layerPartBlob !== undefined)
      command.push("--layer-part-blob", `fileb://${file("part", Buffer.from(layerPartBlob as string, "base64"))}`);
    return command;
  };
  // Of its two major versions one prints times as they came unless it is told otherwise.
  const environment = { ...server.awsEnvironment, AWS_CONFIG_FILE: file("config", "[default]\ncli_timestamp_format = iso8601\n") };
  const run = async (command: readonly string[]): Promise<Members> => {
    const text = await mustRun(command, { environment });
    return text.trim() === "" ? {} : json<Members>(text);
  };
  return {
    driver: {
      // Left to itself it goes through all pages and makes one answer of them, which has no members but the lists.
      call: (operation, input) => run([...words(operation, input), "--no-paginate"]),
      items: async (operation, input, pageSize) =>
        itemsIn(operation, await run([...words(operation, input), "--page-size", String(pageSize)])),
      async wait(waiter, input) {
        const { repositoryName, imageId } = input as { repositoryName: string; imageId?: { imageTag: string } };
        const image = imageId === undefined ? [] : ["--image-id", `imageTag=${imageId.imageTag}`];
        const result = await runTool(["aws", "ecr", "wait", kebab(waiter), "--repository-name", repositoryName, ...image], { environment });
        if (result.status === 0) return "succeeded";
        if (/terminal failure state/.test(result.stderr)) return "failed";
        throw new Error(result.stderr);
      },
    },
    close: () => rmSync(folder, { recursive: true }),
  };
}

function kebab(name: string): string {
  return name.replace(/(?<!^)[A-Z]/g, "-$&").toLowerCase();
}

type Command = Parameters<ECRClient["send"]>[0];
type Exports = Readonly<Record<string, unknown>>;

/** AWS's own SDK in this process. */
export function openSdk(server: ServerProcess): OpenDriver {
  const client = createEcrClient(`http://${server.host}`);
  const exported = sdk as Exports;
  const plain = (output: object): Members => {
    const { $metadata: _metadata, ...members } = output as Members;
    return json<Members>(JSON.stringify(members));
  };
  return {
    driver: {
      async call(operation, { layerPartBlob, ...input }) {
        const Made = exported[`${operation}Command`] as new (input: object) => Command;
        const blob = layerPartBlob === undefined ? {} : { layerPartBlob: Buffer.from(layerPartBlob as string, "base64") };
        return plain(await client.send(new Made({ ...input, ...blob })));
      },
      async items(operation, input, pageSize) {
        const paginate = exported[`paginate${operation}`] as (config: object, input: object) => AsyncIterable<object>;
        const found: unknown[] = [];
        // The SDK writes the token of the next page into the input.
        for await (const page of paginate({ client, pageSize }, { ...input })) {
          const items = itemsIn(operation, plain(page));
          if (items.length > pageSize) throw new Error(`a page of ${items.length} items`);
          found.push(...items);
        }
        return found;
      },
      async wait(waiter, input) {
        const wait = exported[`waitUntil${waiter}`] as (config: object, input: object) => Promise<{ readonly state: string }>;
        const config = { client, maxWaitTime: 60, minDelay: 1, maxDelay: 2 };
        return wait(config, input).then(
          () => "succeeded",
          (error: Error) => {
            if (error.name === "Error" && /"?state"?:\s*"FAILURE"/.test(error.message)) return "failed";
            throw error;
          },
        );
      },
    },
    close: () => client.destroy(),
  };
}

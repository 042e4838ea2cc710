/** Repositories full of images, written straight into the database of a server that does not run: pushing a million of them would take hours. */
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import type { StatementSync } from "node:sqlite";
import { parseLifecyclePolicy } from "../src/lifecycle/policy.ts";

/** What is written. */
export interface LifecycleContent {
  readonly accountId: string;
  readonly region: string;
  readonly repositories: number;
  readonly imagesPerRepository: number;
  /** Of each repository's images. */
  readonly expiring: number;
}

const dayMs = 86_400_000;
const layersPerImage = 5;

/** The policy of every repository: it asks for tags and for ages; what is older than 30 days expires. */
function policyText(): string {
  const age = (countNumber: number) => ({ countType: "sinceImagePushed", countUnit: "days", countNumber });
  const rules = [
    { rulePriority: 1, selection: { tagStatus: "tagged", tagPatternList: ["release-*"], ...age(3_650) }, action: { type: "expire" } },
    { rulePriority: 2, selection: { tagStatus: "untagged", ...age(7) }, action: { type: "expire" } },
    { rulePriority: 3, selection: { tagStatus: "any", ...age(30) }, action: { type: "expire" } },
  ];
  const read = parseLifecyclePolicy(JSON.stringify({ rules }));
  if (!read.ok) throw new Error(read.message);
  return read.canonicalText;
}

function digestOf(text: string): string {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

/** Writes the rows. Policies wait for their turn, which comes a day later. */
export function writeLifecycleContent(databaseFile: string, content: LifecycleContent, now: number): void {
  const db = new DatabaseSync(databaseFile);
  db.exec("pragma synchronous = off");
  const into = (table: string, columns: string): StatementSync =>
    db.prepare(`insert into ${table} (${columns}) values (${columns.replaceAll(/\w+/g, "?")})`);
  const statements = {
    repository: into(
      "repository",
      "account_id, region, name, created_at, tag_mutability, mutability_filters, scan_on_push, encryption_type, protection_domain",
    ),
    usage: into("repository_usage", "repository_id, manifest_count"),
    policy: into("lifecycle_policy", "repository_id, policy_id, version, policy, updated_at, waiting_since"),
    blob: into("blob", "account_id, protection_domain, digest, size_bytes, storage_key, state, created_at"),
    link: into("blob_link", "repository_id, blob_id"),
    manifest: into(
      "manifest",
      "repository_id, digest, media_type, kind, config_media_type, size_bytes, content_size_bytes, pushed_at, tag_count",
    ),
    bytes: into("manifest_bytes", "manifest_id, bytes"),
    reference: into("manifest_blob", "manifest_id, repository_id, blob_id, digest, media_type, size_bytes, role, live"),
    tag: into("tag", "repository_id, name, manifest_id, tagged_at"),
  };
  const policy = policyText();
  for (let index = 0; index < content.repositories; index += 1) {
    if (index % 100 === 0) db.exec("begin");
    writeRepository(statements, content, { name: `bench/app-${String(index).padStart(6, "0")}`, policy, now });
    if (index % 100 === 99 || index === content.repositories - 1) db.exec("commit");
  }
  const registry = db.prepare(
    "insert into registry (account_id, region, repository_count) values (?, ?, ?) on conflict do update set repository_count = excluded.repository_count",
  );
  registry.run(content.accountId, content.region, content.repositories);
  db.exec("analyze");
  db.close();
}

type Statements = Readonly<
  Record<"repository" | "usage" | "policy" | "blob" | "link" | "manifest" | "bytes" | "reference" | "tag", StatementSync>
>;

function writeRepository(
  { repository, usage, policy, blob, link, manifest, bytes, reference, tag }: Statements,
  { accountId, region, imagesPerRepository, expiring }: LifecycleContent,
  { name, policy: text, now }: { readonly name: string; readonly policy: string; readonly now: number },
): void {
  const repositoryId = Number(repository.run(accountId, region, name, now, "MUTABLE", "[]", 0, "AES256", "AES256").lastInsertRowid);
  usage.run(repositoryId, imagesPerRepository);
  policy.run(repositoryId, `policy-${repositoryId}`, 1, text, now, now);
  const blobs = Array.from({ length: layersPerImage + 1 }, (_, layer) => {
    const digest = digestOf(`${region} ${name} ${layer}`);
    const blobId = Number(blob.run(accountId, "AES256", digest, 1_000_000, `${digest}-${region}`, "live", now).lastInsertRowid);
    link.run(repositoryId, blobId);
    return { digest, blobId };
  });
  for (let index = 0; index < imagesPerRepository; index += 1) {
    const seed = `${region} ${name} image ${index}`;
    const pushedAt = now - (index < expiring ? 40 : 10) * dayMs - index * 1_000;
    const media = "application/vnd.oci.image.manifest.v1+json";
    const manifestId = Number(
      manifest.run(repositoryId, digestOf(seed), media, "image", "application/vnd.oci.image.config.v1+json", 1_000, 5_000_000, pushedAt, 1)
        .lastInsertRowid,
    );
    bytes.run(manifestId, Buffer.alloc(1_000, seed));
    for (const [layer, { digest, blobId }] of blobs.entries()) {
      reference.run(
        manifestId,
        repositoryId,
        blobId,
        digest,
        "application/vnd.oci.image.layer.v1.tar+gzip",
        1_000_000,
        layer === 0 ? "config" : "layer",
        1,
      );
    }
    tag.run(repositoryId, `build-${index}`, manifestId, pushedAt);
  }
}

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { startCpuTime } from "#std/testing/cpu-time.ts";
import { CompiledQuery, sql } from "kysely";
import type { KyselyPlugin, RootOperationNode } from "kysely";
import { silentLog } from "#std/log.ts";
import { findAccessKey, writeInstanceSetting } from "./accounts.ts";
import { findFollowUpSubject, keepFollowUpDetail } from "./follow-up-subject.ts";
import { listFollowUps } from "./follow-ups.ts";
import { readIdentityEpoch } from "./identity-epoch.ts";
import { deleteBlob, extendLink, findBlob, findBlobs, listBlobRepositories, mountBlob } from "./blobs.ts";
import { listChanges } from "./changes.ts";
import { openDatabase } from "./database.ts";
import type { Database } from "./database.ts";
import { condemnBlobs, dropStaleLinks, killBlobs, listExpiredUploads, listGone, listManifestsForFsck, purgeTombstones } from "./garbage.ts";
import { claimJob, enqueueJob, listDeadJobs } from "./jobs.ts";
import {
  deleteManifest,
  deleteTag,
  findManifest,
  findManifestsWithTags,
  listManifests,
  listManifestTags,
  listReferrers,
  listTags,
  readManifestBytes,
  resolveManifest,
} from "./manifests.ts";
import {
  author,
  byDigest,
  byTag,
  digestFor,
  keyOf,
  makeBlob,
  makeRepository,
  pushed,
  pushIndex,
  startAt,
  unique,
} from "./metadata-contract-fixture.ts";
import { knownSchemaVersion, NewerSchemaError } from "./migrations.ts";
import type { Reference } from "#oci/reference.ts";
import type { PreparedStatement, StatementValue } from "./prepared.ts";
import { deleteRepository, findRepository, listRepositories } from "./repositories.ts";
import * as storageClass from "./storage-class.ts";
import * as tiers from "./storage-class-tier.ts";
import { listTombstones, restoreManifest, restoreRepository, restoreTag } from "./tombstones.ts";
import { findUploadSession } from "./upload-sessions.ts";
import { exceedsScanQuota, listScanFindings, settleScan, startScan } from "./scans.ts";

const folder = mkdtempSync(join(tmpdir(), "supercargo-sqlite-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const open = (name: string): Promise<Database> => openDatabase({ kind: "sqlite", file: join(folder, name) }, { log: silentLog });

suite("the SQLite file", () => {
  test("is its owner's alone, durable, and keeps what was committed", async () => {
    const file = join(folder, "kept.db");
    let db = await open("kept.db");
    for (const name of [file, `${file}-wal`]) assert.equal(statSync(name).mode & 0o777, 0o600);
    const pragma = async (name: string) =>
      (await sql<Record<string, unknown>>`${sql.raw(`pragma ${name}`)}`.execute(db.read)).rows[0]?.[name];
    assert.equal(await pragma("journal_mode"), "wal");
    await db.transaction(async (tx) => {
      const { rows } = await sql<{ synchronous: number; foreign_keys: number }>`
        select * from pragma_synchronous, pragma_foreign_keys`.execute(tx);
      assert.deepEqual({ ...rows[0] }, { synchronous: 2, foreign_keys: 1 });
    });
    const repository = await makeRepository(db);
    assert.deepEqual(await findRepository(db, keyOf(repository)), repository, "a read after a commit sees it");
    await db.close();
    db = await open("kept.db");
    assert.deepEqual(await findRepository(db, keyOf(repository)), repository);
    await db.close();
  });

  test("of a newer program is refused, and nothing is changed in it", async () => {
    const db = await open("newer.db");
    await db.transaction(async (tx) => {
      await sql`insert into schema_version (version, name) values (${knownSchemaVersion + 1}, 'future')`.execute(tx);
    });
    await db.close();
    await assert.rejects(open("newer.db"), (error: Error) => error instanceof NewerSchemaError && /newer Supercargo/.test(error.message));
  });

  test("says for next to nothing whether anything was committed", async () => {
    const db = await open("version.db");
    const before = db.readDataVersion();
    assert.equal(db.readDataVersion(), before);
    await readIdentityEpoch(db);
    await writeInstanceSetting(db, "a", "b");
    assert.notEqual(db.readDataVersion(), before);
    await db.close();
  });
});

/** The database, with every statement written down. */
function recording(db: Database): { readonly db: Database; readonly statements: Map<string, readonly unknown[]> } {
  const statements = new Map<string, readonly unknown[]>();
  const record = (node: RootOperationNode): void => {
    const compiled = db.read.getExecutor().compileQuery(node, { queryId: "explain" });
    statements.set(compiled.sql, compiled.parameters);
  };
  const plugin: KyselyPlugin = {
    transformQuery(args) {
      record(args.node);
      return args.node;
    },
    transformResult: async (args) => args.result,
  };
  return {
    statements,
    db: {
      ...db,
      read: db.read.withPlugin(plugin),
      prepared: {
        all<Row>(statement: PreparedStatement, values: readonly StatementValue[]): Promise<Row[]> {
          statements.set(statement.sqliteText, values);
          return db.prepared.all<Row>(statement, values);
        },
        one<Row>(statement: PreparedStatement, values: readonly StatementValue[]): Promise<Row | undefined> {
          statements.set(statement.sqliteText, values);
          return db.prepared.one<Row>(statement, values);
        },
      },
      transaction: (work) => db.transaction((tx) => work(tx.withPlugin(plugin))),
    },
  };
}

/** One call of every operation, so that each of their statements is written down. */
async function callEverything(db: Database): Promise<void> {
  const repository = await makeRepository(db);
  const key = keyOf(repository);
  const { repositoryId } = repository;
  const digest = digestFor(unique("blob"));
  const page = { limit: 10 };
  const sibling = keyOf(await makeRepository(db, { accountId: key.accountId }));
  const { blobId } = await makeBlob(db, key, digest);
  await mountBlob(db, { sourceKeys: [key], targetKey: sibling, digest, graceUntil: startAt + 5, author: author() });
  await extendLink(db, { repositoryId, blobId, graceUntil: startAt + 6 });
  await findBlob(db, key, digest, startAt);
  await findBlobs(db, repositoryId, [digest], startAt);
  await listBlobRepositories(db, { targetKey: sibling, digest, now: startAt, limit: 10 });
  await deleteBlob(db, { key: sibling, digest, author: author() });
  const { manifestId } = await pushed(db, key, "m", { blobs: [digest], tags: ["a", "b"], subjectDigest: digestFor("s") });
  await pushed(db, key, "n", { tags: ["a"] });
  await pushIndex(db, key, "i", ["n"]);
  await findManifest(db, key, byTag("a"));
  await findManifest(db, key, byDigest(digestFor("m")));
  await readManifestBytes(db, manifestId);
  await listTags(db, repositoryId, page);
  for (const tagStatus of ["ANY", "TAGGED", "UNTAGGED"] as const) {
    await listManifests(db, repositoryId, { tagStatus, ...page });
    await listManifestTags(db, repositoryId, { tagStatus, ...page });
  }
  await findManifestsWithTags(db, repositoryId, [{ tag: "a" }, { digest }]);
  await listReferrers(db, repositoryId, digestFor("s"), page);
  const scanned = (await pushed(db, key, "scanned")).manifestId;
  const scan = { manifestId: scanned, kind: "scan", target: "" } as const;
  const quota = { registry: key, since: 0, exceptCode: "x", limit: 10 };
  await startScan(db, { ...scan, quota, now: startAt });
  await exceedsScanQuota(db, quota);
  await findFollowUpSubject(db, scan);
  await keepFollowUpDetail(db, { ...scan, detail: 1 });
  const outcome = { state: "COMPLETE", findings: [1], summary: 1 } as const;
  await settleScan(db, { ...scan, startedAt: startAt, outcome, repository, digest, record: {}, author: author() });
  await listScanFindings(db, scan, page);
  await listFollowUps(db, "scan", [scanned]);
  await deleteTag(db, { key, tag: "a", lastTagDeletesManifest: true, linkGraceMs: 86_400_000, withReferrers: true, author: author() });
  await deleteManifest(db, { key, digest: digestFor("i"), linkGraceMs: 86_400_000, withReferrers: true, author: author() });
  await deleteManifest(db, { key, digest: digestFor("m"), linkGraceMs: 86_400_000, withReferrers: true, author: author() });
  await listTombstones(db, key, page);
  await listTombstones(db, key, { ...page, after: { kind: "tag", tombstoneId: 1 } });
  await restoreTag(db, { key, tag: "b", author: author() });
  await restoreManifest(db, { key, digest: digestFor("i"), author: author() });
  await listRepositories(db, key, page);
  await listChanges(db, page);
  await listChanges(db, { repositoryId, after: "0.0", ...page });
  await findUploadSession(db, "nothing");
  await listExpiredUploads(db, { now: startAt, limit: 10 });
  await deleteManifest(db, { key, digest: digestFor("i"), linkGraceMs: 86_400_000, withReferrers: true, author: author() });
  await deleteRepository(db, { key, force: true, author: author() });
  await restoreRepository(db, { key, author: author() });
  await deleteRepository(db, { key, force: true, author: author() });
  await purgeTombstones(db, { deletedBefore: startAt, limit: 10 });
  await dropStaleLinks(db, { now: startAt, limit: 10, ignoreGrace: true });
  await condemnBlobs(db, { unreferencedSince: startAt, now: startAt, limit: 10 });
  await killBlobs(db, { condemnedBefore: startAt, limit: 10 });
  await listGone(db, page);
  await listManifestsForFsck(db, page);
  await enqueueJob(db, { kind: "k", payload: null, runAt: 1, dedupeKey: "d" });
  await claimJob(db, { kinds: ["k"], now: 1, leaseMs: 1 });
  await listDeadJobs(db);
  await findAccessKey(db, "nothing");
  await callStorageClasses(db);
}

async function callStorageClasses(db: Database): Promise<void> {
  const repository = await makeRepository(db);
  const { repositoryId } = repository;
  const key = keyOf(repository);
  const digest = digestFor(unique("blob"));
  const { blobId } = await makeBlob(db, key, digest);
  const { manifestId } = await pushed(db, key, "m", { blobs: [digest] });
  await storageClass.archiveManifests(db, { key, digests: [digestFor("m")], linkGraceMs: 86_400_000, author: author() });
  for (const status of ["ACTIVE", "ARCHIVED", "ACTIVATING"] as const)
    for (const tagStatus of ["ANY", "TAGGED", "UNTAGGED"] as const) {
      await listManifests(db, repositoryId, { tagStatus, status, limit: 10 });
      await listManifestTags(db, repositoryId, { tagStatus, status, limit: 10 });
    }
  await tiers.findArchivedBlobs(db, repositoryId, [digest]);
  await tiers.listTierChecks(db, { now: startAt, limit: 10 });
  await tiers.hasColdBlobs(db);
  const move = { moveId: unique("move"), blobId, to: "cold" as const, now: startAt };
  await tiers.beginMove(db, { ...move, expiresAt: startAt });
  await tiers.finishMove(db, { ...move, fromKey: "a", toKey: "b" });
  await tiers.endExpiredMoves(db, { now: startAt, limit: 10 });
  await tiers.listColdBlobs(db, { manifestId, after: 0, limit: 10 });
  await storageClass.startActivation(db, { key, digest: digestFor("m"), author: author() });
  await storageClass.findActivating(db, manifestId);
  await storageClass.resumeActivations(db, { after: 0, limit: 10, now: startAt });
  await storageClass.finishActivation(db, { manifestId, repositoryId, followUps: [], author: author() });
}

/** Lists of values, and pages that are bounded already, are read from end to end. */
function isBounded(scanned: string, text: string): boolean {
  return (
    /^(?:json_each |wanted|found|\d+-ROW VALUES|CONSTANT ROW|\d+ CONSTANT ROW)/.test(scanned) || text.includes(`limit ?) ${scanned}\n`)
  );
}

/** Statements that look for anything at all in a repository: the check of its foreign keys, and what ends it. */
function mayWalk(text: string): boolean {
  return (
    /^(?:insert into|delete from) "repository" /.test(text) ||
    text.startsWith('select "repository_id" from "repository" where "deleted_at" <= ?') ||
    text === 'select "manifest_id" from "manifest" where "repository_id" = ? limit ?' ||
    // What a repository that comes back was in the middle of.
    /^select "f"\."manifest_id", "f"\."kind", "f"\."target" from "follow_up" .* is null order by "f"\."manifest_id"$/.test(text)
  );
}

suite("a manifest that is remembered", () => {
  test("is the one of now, whoever moves its tag, deletes it or its repository", async () => {
    const [db, other] = [await open("remembered.db"), await open("remembered.db")];
    const key = keyOf(await makeRepository(db));
    const digestAt = async (reference: Reference, by: Database): Promise<string> => {
      const found = await resolveManifest(by, key, reference);
      return typeof found === "string" ? found : found.digest;
    };
    const seen = async (reference: Reference): Promise<readonly string[]> => {
      const looks = [await digestAt(reference, db), await digestAt(reference, other)];
      // Once more by what each remembers, in the same turn and in a later one.
      looks.push(await digestAt(reference, db), await digestAt(reference, other));
      await nextTurn();
      looks.push(await digestAt(reference, db), await digestAt(reference, other));
      return [...new Set(looks)];
    };
    const tag = byTag("v1");
    assert.deepEqual(await seen(tag), ["no-manifest"]);
    const digests: string[] = [];
    for (const [at, writer] of [db, other, db, other].entries()) {
      const { digest } = await pushed(writer, key, `m${at}`, { tags: ["v1"] });
      digests.push(digest);
      await nextTurn();
      assert.deepEqual(await seen(tag), [digest]);
    }
    const first = digests[0] ?? "";
    assert.deepEqual(await seen(byDigest(first)), [first]);
    await deleteManifest(other, { key, digest: first, linkGraceMs: 1, withReferrers: true, author: author() });
    await nextTurn();
    assert.deepEqual(await seen(byDigest(first)), ["no-manifest"]);
    await deleteRepository(other, { key, force: true, author: author() });
    await nextTurn();
    assert.deepEqual(await seen(tag), ["no-repository"]);
    await Promise.all([db.close(), other.close()]);
  });
});

suite("query plans on SQLite", () => {
  test("no statement scans a table or a repository, and no page is sorted", async () => {
    const db = await open("plans.db");
    const { db: recorded, statements } = recording(db);
    await callEverything(recorded);
    assert.ok(statements.size > 90, `${statements.size} statements were seen`);
    const complaints: string[] = [];
    for (const [text, values] of statements) {
      const plan = await db.read.executeQuery<{ detail: string }>(CompiledQuery.raw(`explain query plan ${text}`, [...values]));
      for (const { detail } of plan.rows) {
        const scanned = /^SCAN (.*)$/.exec(detail)?.[1];
        const sorts = /TEMP B-TREE FOR .*ORDER BY/.test(detail) && text.endsWith("limit ?");
        const scans = scanned !== undefined && !isBounded(scanned, text);
        const walks = /^SEARCH (?:manifest|m|tag|t) .*\(repository_id=\?\)$/.test(detail) && !mayWalk(text);
        if (scans || sorts || walks) complaints.push(`${detail}\n  in ${text}`);
      }
    }
    await db.close();
    assert.deepEqual(complaints, []);
  });
});

/** How long one hundred rounds of everyday work take in a repository of that many tags, each on a manifest of its own. */
async function timeWork(db: Database, tagCount: number): Promise<number> {
  const rounds = 100;
  const repository = await makeRepository(db);
  const { repositoryId } = repository;
  const key = keyOf(repository);
  await db.transaction(async (tx) => {
    await sql`
      insert into manifest (repository_id, digest, media_type, kind, size_bytes, content_size_bytes, pushed_at, tag_count)
      with recursive n (i) as (select 0 union all select i + 1 from n where i + 1 < ${tagCount})
      select ${repositoryId}, 'sha256:' || i, 't', 'image', 1, 1, 1, 1 from n`.execute(tx);
    await sql`
      insert into tag (repository_id, name, manifest_id, tagged_at)
      select repository_id, 't' || substr(digest, 8), manifest_id, 1 from manifest where repository_id = ${repositoryId}`.execute(tx);
    await tx.updateTable("repository_usage").set({ manifest_count: tagCount }).where("repository_id", "=", repositoryId).execute();
  });
  const cpuMs = startCpuTime();
  for (let round = 0; round < rounds; round += 1) {
    const tag = await deleteTag(db, {
      key,
      tag: `t${round}`,
      lastTagDeletesManifest: round % 2 === 0,
      linkGraceMs: 86_400_000,
      withReferrers: true,
      author: author(),
    });
    assert.equal(tag.outcome, "deleted");
    const manifest = await deleteManifest(db, {
      key,
      digest: `sha256:${tagCount - 1 - round}`,
      linkGraceMs: 86_400_000,
      withReferrers: true,
      author: author(),
    });
    assert.equal(manifest.outcome, "deleted");
    assert.equal((await listTags(db, repositoryId, { after: `t${200 + round}`, limit: 50 })).length, 50);
    assert.equal((await listManifests(db, repositoryId, { tagStatus: "TAGGED", limit: 10 })).length, 10);
    assert.equal((await findManifestsWithTags(db, repositoryId, [{ tag: "t500" }, { digest: "sha256:500" }])).length, 2);
    await pushed(db, repository, `m${round}`, { tags: [`t${tagCount / 2 + round}`] });
  }
  while ((await purgeTombstones(db, { deletedBefore: startAt, limit: 50 })) > 0);
  await deleteRepository(db, { key, force: true, author: author() });
  return cpuMs();
}

suite("a repository of 100,000 tags", () => {
  test("costs no more than one of a thousand", async () => {
    const db = await open("large.db");
    await timeWork(db, 1_000);
    const smallMs = await timeWork(db, 1_000);
    const largeMs = await timeWork(db, 100_000);
    await db.close();
    // Equal when all is well; a single pass over the rows per round makes it five times as long and more.
    assert.ok(largeMs < 3 * smallMs + 100, `${largeMs} ms against ${smallMs} ms`);
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { listChanges } from "./changes.ts";
import { findFollowUpSubject, keepFollowUpDetail } from "./follow-up-subject.ts";
import { listFollowUps, settleFollowUp, startFollowUps } from "./follow-ups.ts";
import { claimJob, finishJob } from "./jobs.ts";
import { deleteManifest } from "./manifests.ts";
import { allPages, author, digestFor, graceMs, keyOf, makeRepository, pushed, startAt, unique } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import type { PushFollowUp } from "./follow-ups.ts";
import { deleteRepository, findRepository } from "./repositories.ts";
import type { Repository } from "./repositories.ts";
import { exceedsScanQuota, listScanFindings, recordScanFrequencies, setScanOnPush, settleScan, startScan } from "./scans.ts";
import { addSigningCertificate, findSigningCertificate } from "./signing-certificates.ts";
import { removeManifests } from "./manifest-purge.ts";
import { restoreManifest, restoreRepository } from "./tombstones.ts";

const dayMs = 86_400_000;
const exceptCode = "NOBODY";

function quotaOf(repository: Repository, now: number, limit = 100) {
  return { registry: keyOf(repository), since: now - dayMs, exceptCode, limit };
}

/** Scans, their quotas and what they find; follow-ups as their jobs see them; certificates of signing profiles. */
export function scanContract(opened: OpenedDatabase): void {
  test("scan on push is set, and the log says what it was", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    assert.deepEqual(await setScanOnPush(db, { key, scanOnPush: true, author: author() }), { ...repository, scanOnPush: true });
    assert.equal((await findRepository(db, key))?.scanOnPush, true);
    const change = (await listChanges(db, { repositoryId: repository.repositoryId, limit: 10 })).at(-1);
    assert.deepEqual([change?.kind, change?.before, change?.after], ["scan-on-push-set", { scanOnPush: false }, { scanOnPush: true }]);
    assert.equal(await setScanOnPush(db, { key: { ...key, name: "missing" }, scanOnPush: true, author: author() }), undefined);
  });

  test("what had not ended when its manifest was deleted goes on when it comes back", async () => {
    const db = opened();
    const followUps: readonly PushFollowUp[] = [
      { kind: "scan", target: "", when: "new" },
      { kind: "sign", target: "settled", when: "new" },
    ];
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    const { manifestId, digest } = await pushed(db, repository, unique("back"), { followUps });
    await settleFollowUp(db, { manifestId, kind: "sign", target: "settled", state: "COMPLETE", now: startAt });
    const runJobs = async (): Promise<readonly unknown[]> => {
      const done: unknown[] = [];
      for (let job; (job = await claimJob(db, { kinds: ["scan", "sign"], now: startAt, leaseMs: 1_000 }));) {
        done.push(job.payload);
        await finishJob(db, job);
      }
      return done;
    };
    const scan = { manifestId, target: "" };
    await runJobs();
    await deleteManifest(db, { key, digest, linkGraceMs: graceMs, withReferrers: false, author: author() });
    assert.equal((await restoreManifest(db, { key, digest, author: author() })).outcome, "restored");
    assert.deepEqual(await runJobs(), [scan]);
    await deleteRepository(db, { key, force: true, author: author() });
    assert.equal((await restoreRepository(db, { key, author: author() })).outcome, "restored");
    assert.deepEqual(await runJobs(), [scan]);
  });

  test("a push begins what it needs, and what is refused has failed without a job", async () => {
    const db = opened();
    const refused = { code: "AccessDeniedException", reason: "no" };
    const followUps: readonly PushFollowUp[] = [
      { kind: "scan", target: "", when: "new-if-scanned" },
      { kind: "sign", target: "profile", when: "new" },
      { kind: "sign", target: "secret", when: "new", refused },
    ];
    for (const scanOnPush of [true, false]) {
      const repository = await makeRepository(db, { scanOnPush });
      const { manifestId } = await pushed(db, repository, unique("followed"), { followUps });
      const states = async (kind: "scan" | "sign") =>
        (await listFollowUps(db, kind, [manifestId])).map(({ target, state, code, reason }) => [target, state, code, reason]);
      assert.deepEqual(await states("scan"), scanOnPush ? [["", "IN_PROGRESS", undefined, undefined]] : []);
      assert.deepEqual(await states("sign"), [
        ["profile", "IN_PROGRESS", undefined, undefined],
        ["secret", "FAILED", "AccessDeniedException", "no"],
      ]);
      const jobs: unknown[] = [];
      for (;;) {
        const job = await claimJob(db, { kinds: ["scan", "sign"], now: startAt, leaseMs: 1_000 });
        if (job === undefined) break;
        jobs.push(job.payload);
        await finishJob(db, job);
      }
      assert.deepEqual(jobs, [...(scanOnPush ? [{ manifestId, target: "" }] : []), { manifestId, target: "profile" }]);
    }
  });

  test("a manifest is scanned once a day, a registry as often as its quota says", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const one = await pushed(db, repository, unique("scanned"));
    const two = await pushed(db, repository, unique("scanned"));
    const start = (manifestId: number, now: number, limit?: number) =>
      startScan(db, { manifestId, target: "", quota: quotaOf(repository, now, limit), now });
    assert.equal(await start(one.manifestId, startAt), "started");
    assert.equal(await start(one.manifestId, startAt + dayMs - 1), "recent");
    assert.equal(await start(two.manifestId, startAt + 1, 1), "limit");
    assert.equal(await exceedsScanQuota(db, quotaOf(repository, startAt + 1, 1)), false);
    assert.equal(await start(two.manifestId, startAt + 1, 2), "started");
    assert.equal(await exceedsScanQuota(db, quotaOf(repository, startAt + 1, 1)), true);
    assert.equal(await start(one.manifestId, startAt + dayMs), "started");
    await settleFollowUp(db, { manifestId: one.manifestId, kind: "scan", target: "", state: "FAILED", code: exceptCode, now: startAt });
    assert.equal(await start(one.manifestId, startAt + dayMs + 1), "started");
    await deleteManifest(db, { key: keyOf(repository), digest: two.digest, linkGraceMs: graceMs, withReferrers: false, author: author() });
    assert.equal(await start(two.manifestId, startAt + 9 * dayMs), "gone");
    for (let job; (job = await claimJob(db, { kinds: ["scan"], now: startAt + 9 * dayMs, leaseMs: 1_000 }));) await finishJob(db, job);
  });

  test("what a scan finds comes in pages, replaces what was found before, and goes with its manifest", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const { manifestId, digest } = await pushed(db, repository, unique("found"), { tags: ["b", "a"] });
    const settle = (startedAt: number, findings: readonly unknown[]) =>
      settleScan(db, {
        manifestId,
        target: "",
        startedAt,
        outcome: { state: "COMPLETE", findings, summary: { total: findings.length } },
        repository,
        digest,
        record: { status: "COMPLETE" },
        author: author(startedAt + 5),
      });
    const read = () =>
      allPages(
        400,
        (item: { ordinal: number }) => item.ordinal,
        (page) => listScanFindings(db, { manifestId, target: "" }, page),
      );
    await startFollowUps(db, { manifestId, followUps: [{ kind: "scan", target: "" }], now: startAt });
    const many = Array.from({ length: 1_201 }, (_, index) => ({ name: `CVE-${index}` }));
    assert.equal(await settle(startAt + 1, many), false, "another scan than the one that is under way");
    assert.equal(await settle(startAt, many), true);
    assert.equal(await settle(startAt, []), false, "it has ended");
    assert.deepEqual(
      (await read()).map(({ finding }) => finding),
      many,
    );
    const [state] = await listFollowUps(db, "scan", [manifestId]);
    assert.deepEqual([state?.state, state?.detail, state?.settledAt], ["COMPLETE", { total: 1_201 }, startAt + 5]);
    const change = (await listChanges(db, { repositoryId: repository.repositoryId, limit: 100 })).at(-1);
    assert.deepEqual([change?.kind, change?.subject, change?.after], ["scan-completed", digest, { status: "COMPLETE", tags: ["a", "b"] }]);
    await startFollowUps(db, { manifestId, followUps: [{ kind: "scan", target: "" }], now: startAt + 10 });
    await settle(startAt + 10, [{ name: "CVE-new" }]);
    assert.deepEqual(await read(), [{ ordinal: 0, finding: { name: "CVE-new" } }]);
    await deleteManifest(db, { key: keyOf(repository), digest, linkGraceMs: graceMs, withReferrers: false, author: author() });
    await db.transaction((tx) => removeManifests(db, tx, [manifestId]));
    assert.deepEqual(await read(), []);
  });

  test("the log says which repositories are scanned at other times", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    await recordScanFrequencies(db, [], author());
    await recordScanFrequencies(db, [{ key: repository, before: { f: 1 }, after: { f: 2 } }], author());
    const change = (await listChanges(db, { repositoryId: repository.repositoryId, limit: 10 })).at(-1);
    assert.deepEqual([change?.kind, change?.before, change?.after], ["scan-frequency-set", { f: 1 }, { f: 2 }]);
  });

  test("a job finds what it is about as long as that is there and not done, and keeps the first detail", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const manifest = await pushed(db, repository, unique("subject"));
    const name = { manifestId: manifest.manifestId, kind: "sign", target: "profile" } as const;
    assert.equal(await findFollowUpSubject(db, name), undefined);
    await startFollowUps(db, { manifestId: manifest.manifestId, followUps: [name], now: startAt + 1 });
    const subject = { key: keyOf(repository), manifest, startedAt: startAt + 1 };
    assert.deepEqual(await findFollowUpSubject(db, name), subject);
    assert.deepEqual(await keepFollowUpDetail(db, { ...name, detail: { a: "é'" } }), { a: "é'" });
    assert.deepEqual(await keepFollowUpDetail(db, { ...name, detail: { a: 2 } }), { a: "é'" });
    assert.deepEqual(await findFollowUpSubject(db, name), { ...subject, detail: { a: "é'" } });
    await settleFollowUp(db, { ...name, state: "COMPLETE", now: startAt + 2 });
    assert.equal(await findFollowUpSubject(db, name), undefined);
    for (let job; (job = await claimJob(db, { kinds: ["sign"], now: startAt + 9, leaseMs: 1_000 }));) await finishJob(db, job);
  });

  test("a profile has one certificate for each of its keys, the first", async () => {
    const db = opened();
    const certificate = {
      profileArn: unique("profile"),
      keyArn: "one",
      contentGrantId: "c",
      manageGrantId: "m",
      wrappedKey: Buffer.from([0, 255]),
      certificate: Buffer.from(digestFor("x")),
      createdAt: startAt,
    };
    assert.equal(await findSigningCertificate(db, certificate), undefined);
    assert.equal(await addSigningCertificate(db, certificate), true);
    assert.equal(await addSigningCertificate(db, { ...certificate, contentGrantId: "later" }), false);
    assert.deepEqual(await findSigningCertificate(db, certificate), certificate);
    assert.equal(await findSigningCertificate(db, { ...certificate, keyArn: "two" }), undefined);
  });
}

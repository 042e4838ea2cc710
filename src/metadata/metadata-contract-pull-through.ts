import assert from "node:assert/strict";
import { test } from "node:test";
import { listChanges } from "./changes.ts";
import { claimJob, finishJob } from "./jobs.ts";
import {
  author,
  byDigest,
  byTag,
  digestFor,
  keyOf,
  makeRepository,
  pushed,
  pushIndex,
  startAt,
  unique,
} from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import { findManifest, resolveManifest } from "./manifests.ts";
import {
  createPullThroughRule,
  deletePullThroughRule,
  listPullThroughRules,
  readPullThroughRules,
  updatePullThroughRule,
} from "./pull-through-rules.ts";
import { findTagStanding, notePullThrough, noteTagValidated, pullThroughEntry } from "./pull-through-tags.ts";
import { claimUpstreamFetch, endUpstreamFetch } from "./upstream-fetches.ts";

function rule(prefix: string) {
  const identity = { credentialArn: undefined, roleArn: undefined };
  return { prefix, givenPrefix: `${prefix}/`, upstreamKind: "quay", upstreamUrl: "quay.io", upstreamPrefix: undefined, ...identity };
}

/** Pull-through cache rules, and what is remembered of fetching by them. */
export function pullThroughContract(opened: OpenedDatabase): void {
  test("rules are made once, up to a number, also at once; changed; deleted; and each change is in the log", async () => {
    const db = opened();
    const registry = { accountId: unique("account"), region: "eu-west-1" };
    const make = (prefix: string) => createPullThroughRule(db, { registry, rule: rule(prefix), maxRules: 3, author: author() });
    const outcomes = await Promise.all(["a", "a", "b", "c", "d"].map(make));
    const counts = Object.groupBy(outcomes, ({ outcome }) => outcome);
    assert.deepEqual([counts.created?.length, (counts.exists?.length ?? 0) + (counts.limit?.length ?? 0)], [3, 2]);
    const made = await readPullThroughRules(db, registry);
    const prefixes = made.map(({ prefix }) => prefix).toSorted();
    const [first = ""] = prefixes;
    const page = await listPullThroughRules(db, registry, { after: first, limit: 1 });
    assert.deepEqual(
      page.map(({ prefix }) => prefix),
      prefixes.slice(1, 2),
    );
    const key = { ...registry, prefix: first };
    const identity = { credentialArn: "arn:secret", roleArn: undefined };
    const changed = await updatePullThroughRule(db, { key, identity, author: author(startAt + 5) });
    assert.deepEqual(changed, { ...rule(first), credentialArn: "arn:secret", createdAt: startAt, updatedAt: startAt + 5 });
    const kept = { credentialArn: undefined, roleArn: "arn:role" };
    const both = await updatePullThroughRule(db, { key, identity: kept, author: author(startAt + 6) });
    assert.deepEqual([both?.credentialArn, both?.roleArn], ["arn:secret", "arn:role"]);
    assert.deepEqual(await deletePullThroughRule(db, { key, author: author() }), both);
    for (const gone of [
      deletePullThroughRule(db, { key, author: author() }),
      updatePullThroughRule(db, { key, identity, author: author() }),
    ])
      assert.equal(await gone, undefined);
  });

  test("a tag knows when its upstream was asked, until it is moved by a push", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const { repositoryId } = repository;
    const key = keyOf(repository);
    assert.equal(await findTagStanding(db, { ...key, name: "missing" }, "v1"), undefined);
    assert.deepEqual(await findTagStanding(db, key, "v1"), { repositoryId, digest: undefined, validatedAt: undefined });
    const first = await pushed(db, key, "first", { tags: ["v1"] });
    assert.deepEqual(await findTagStanding(db, key, "v1"), { repositoryId, digest: first.digest, validatedAt: undefined });
    await noteTagValidated(db, { repositoryId, tag: "v1", at: startAt + 1 });
    assert.equal((await findTagStanding(db, key, "v1"))?.validatedAt, undefined, "it is nobody's copy");
    await pushed(db, key, "copy", { tags: ["v2"], upstreamSeenAt: startAt });
    for (const at of [startAt + 9, startAt + 3]) await noteTagValidated(db, { repositoryId, tag: "v2", at });
    assert.equal((await findTagStanding(db, key, "v2"))?.validatedAt, startAt + 9, "never back");
    const second = await pushed(db, key, "second", { tags: ["v1"] });
    assert.deepEqual(await findTagStanding(db, key, "v1"), { repositoryId, digest: second.digest, validatedAt: undefined });
    assert.ok((await resolveManifest(db, key, byTag("v1"))) !== "no-manifest");
  });

  test("what is fetched moves only tags that were fetched, and a tag and its time are one step", async () => {
    const db = opened();
    const key = keyOf(await makeRepository(db));
    const fetched = (seed: string, upstreamSeenAt: number) => pushed(db, key, seed, { tags: ["v1", "own"], upstreamSeenAt });
    const standing = async (tag: string) => {
      const { digest, validatedAt } = (await findTagStanding(db, key, tag)) ?? {};
      return [digest, validatedAt];
    };
    const own = await pushed(db, key, "own", { tags: ["own"] });
    const first = await fetched("first", startAt + 10);
    assert.deepEqual(await standing("v1"), [first.digest, startAt + 10]);
    assert.deepEqual(await standing("own"), [own.digest, undefined]);
    await fetched("late", startAt + 5);
    assert.deepEqual(await standing("v1"), [first.digest, startAt + 10], "an older answer of the upstream");
    await fetched("first", startAt + 20);
    assert.deepEqual(await standing("v1"), [first.digest, startAt + 20]);
    const second = await fetched("second", startAt + 30);
    assert.deepEqual(await standing("v1"), [second.digest, startAt + 30]);
    // From here on the tag is somebody's own.
    await Promise.all([pushed(db, key, "pushed", { tags: ["v1"] }), fetched("third", startAt + 40)]);
    assert.deepEqual(await standing("v1"), [digestFor("pushed"), undefined], "whichever came first");
    await fetched("own", startAt + 50);
    assert.deepEqual(await standing("own"), [own.digest, undefined], "also where the upstream has the same");
  });

  test("an index that was stored before its children is as large as the largest of them, and so are the indexes above it", async () => {
    const db = opened();
    const key = keyOf(await makeRepository(db));
    const sparse = { allowMissingChildren: true };
    const sizes = () =>
      Promise.all(
        ["over", "index", "other"].map(async (seed) => (await findManifest(db, key, byDigest(digestFor(seed)))).manifest?.contentSizeBytes),
      );
    await pushIndex(db, key, "over", ["index"], sparse);
    await pushIndex(db, key, "other", ["elsewhere"], sparse);
    await pushed(db, key, "early", { contentSizeBytes: 3 });
    await pushIndex(db, key, "index", ["early", "small", "large"], sparse);
    assert.deepEqual(await sizes(), [3, 3, 0]);
    await pushed(db, key, "large", { contentSizeBytes: 50 });
    assert.deepEqual(await sizes(), [50, 50, 0]);
    await pushed(db, key, "small", { contentSizeBytes: 5 });
    assert.deepEqual(await sizes(), [50, 50, 0]);
  });

  test("so it is when index and children are pushed at the same time", async () => {
    const db = opened();
    const key = keyOf(await makeRepository(db));
    for (let round = 0; round < 8; round += 1) {
      const children = ["a", "b", "c"].map((child) => `${child}${round}`);
      const index = () => pushIndex(db, key, `index${round}`, children, { allowMissingChildren: true });
      const pushes = children.map((child, place) => () => pushed(db, key, child, { contentSizeBytes: 10 * (place + 1) }));
      await Promise.all([...pushes.slice(round % 3), index, ...pushes.slice(0, round % 3)].map((push) => push()));
      const { manifest } = await findManifest(db, key, byDigest(digestFor(`index${round}`)));
      assert.equal(manifest?.contentSizeBytes, 30);
    }
  });

  test("one node claims a blob, until it gives the claim back or its lease is over", async () => {
    const db = opened();
    const key = { accountId: unique("account"), region: "eu-west-1", name: "hub/app" };
    const digest = digestFor("fetched");
    const claim = (fetchId: string, now: number) =>
      claimUpstreamFetch(db, { key, digest, fetchId: `${key.accountId} ${fetchId}`, now, leaseMs: 10 });
    const together = await Promise.all(["a", "b", "c"].map((fetchId) => claim(fetchId, startAt)));
    assert.equal(together.filter(Boolean).length, 1);
    assert.equal(await claim("d", startAt + 9), false);
    assert.equal(await claim("e", startAt + 10), true);
    for (const fetchId of ["a", "b", "c"]) await endUpstreamFetch(db, `${key.accountId} ${fetchId}`);
    assert.equal(await claim("f", startAt + 11), false, "who has lost the claim cannot give it back");
    await endUpstreamFetch(db, `${key.accountId} e`);
    assert.equal(await claim("g", startAt + 12), true);
  });

  test("attempts are in the change log under their tag or digest", async () => {
    const db = opened();
    const { repositoryId, ...repository } = await makeRepository(db);
    const key = keyOf({ ...repository });
    const attempt = { status: "SUCCESS", prefix: "hub", upstreamUrl: "quay.io" } as const;
    const digest = digestFor("attempt");
    for (const what of [{ tag: "v1", digest }, { digest }])
      await notePullThrough(db, { key, repositoryId, attempt: { ...attempt, ...what }, author: author() });
    const changes = (await listChanges(db, { repositoryId, limit: 100 })).filter(({ kind }) => kind === "pull-through");
    assert.deepEqual(
      changes.map(({ subject, after }) => [subject, after]),
      [
        ["v1", { ...attempt, tag: "v1", digest }],
        [digest, { ...attempt, digest }],
      ],
    );
  });

  test("what belongs to a push is written with it, also where nothing changes, and not when it is refused", async () => {
    const db = opened();
    const { repositoryId, ...repository } = await makeRepository(db);
    const key = keyOf({ ...repository });
    const kind = unique("alongside");
    const attempt = { status: "SUCCESS", prefix: "hub", upstreamUrl: "quay.io", tag: "v1" } as const;
    const alongside = { changes: [pullThroughEntry(attempt)], jobs: [{ kind, payload: null, runAt: startAt }] };
    const fetched = { tags: ["v1"], upstreamSeenAt: startAt, alongside };
    const written = async (): Promise<readonly number[]> => {
      const changes = await listChanges(db, { repositoryId, limit: 100 });
      let jobs = 0;
      for (let job; (job = await claimJob(db, { kinds: [kind], now: startAt, leaseMs: 1_000 })); jobs += 1) await finishJob(db, job);
      return [changes.filter((change) => change.kind === "pull-through").length, jobs];
    };
    await pushed(db, key, "fetched", fetched);
    assert.deepEqual(await written(), [1, 1]);
    await pushed(db, key, "fetched", fetched);
    assert.deepEqual(await written(), [2, 1]);
    const refused = await pushIndex(db, key, "index", ["missing"], { alongside });
    assert.equal(refused.outcome, "children-missing");
    assert.deepEqual(await written(), [2, 0]);
  });
}

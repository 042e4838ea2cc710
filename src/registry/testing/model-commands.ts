/** The operations of a naive model of a registry, for `model.test.ts`: what each answers, and what it changes. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import { checkBlob, deleteBlob, mountBlob } from "../blob.ts";
import { runGarbageCollection } from "../gc.ts";
import { defaultLimits } from "../limits.ts";
import { deleteManifest, deleteTag, putManifest } from "../manifest.ts";
import type { Dead, Incarnation, Model, Real, Repository, Session } from "./model-state.ts";
import { answerOf, bytesOfRecipe, compare, contents, isReadable, isReferenced, names, recipes, tags } from "./model-state.ts";
import { incoming, sha256 } from "./test-registry.ts";
import { restore } from "../undo.ts";
import { appendUpload, cancelUpload, completeUpload, startUpload, uploadWhole } from "../upload.ts";

const { linkGraceMs, undoMs, uploadTtlMs } = defaultLimits;
/** A promise that is younger is not made again; as in blob.ts. */
const promiseIntervalMs = 10_000;

type Command = fc.AsyncCommand<Model, Real>;

/** A command whose model answers what the registry must answer. Time moves by a millisecond, so that no two changes have the same time. */
function command(
  text: string,
  predict: (model: Model, real: Real) => string,
  act: (model: Model, real: Real) => Promise<unknown>,
): Command {
  return {
    check: () => true,
    async run(model, real) {
      real.clock.advance(1);
      const acted = await answerOf(act(model, real));
      assert.equal(acted, predict(model, real), text);
      await compare(model, real);
    },
    toString: () => text,
  };
}

const repositoryOf = (model: Model, position: number) => model.repositories[position] as Repository;
const nameOf = (position: number) => names[position] as RepositoryName;

const push = (at: number, content: string) =>
  command(
    `push ${content} to ${at}`,
    (model, { clock }) => {
      repositoryOf(model, at).grace.set(content, clock.now() + linkGraceMs);
      return "ok";
    },
    (_model, { opened: { ctx }, registry }) =>
      uploadWhole(ctx, registry, nameOf(at), { digest: sha256(content), incoming: incoming(content) }),
  );

const head = (at: number, content: string) =>
  command(
    `head ${content} in ${at}`,
    (model, { clock }) => {
      const repository = repositoryOf(model, at);
      const now = clock.now();
      if (!isReadable(repository, content, now)) return "blob-not-found";
      // A yes is a promise, also for what a manifest holds: it may be deleted before the next one arrives.
      const promised = now + linkGraceMs;
      if (promised - (repository.grace.get(content) ?? 0) >= promiseIntervalMs) repository.grace.set(content, promised);
      return "ok";
    },
    (_model, { opened: { ctx }, registry }) => checkBlob(ctx, registry, nameOf(at), sha256(content)),
  );

const mount = (from: number, content: string) =>
  command(
    `mount ${content} from ${from}`,
    (model, { clock }) => {
      const target = repositoryOf(model, 1 - from);
      if (!isReadable(repositoryOf(model, from), content, clock.now())) return "ok";
      target.grace.set(content, clock.now() + linkGraceMs);
      return "ok";
    },
    async (model, { opened: { ctx }, registry, clock }) => {
      const expected = isReadable(repositoryOf(model, from), content, clock.now());
      const request = { digest: sha256(content), from: nameOf(from), mayRead: () => true };
      assert.equal((await mountBlob(ctx, registry, nameOf(1 - from), request)) !== undefined, expected);
    },
  );

const dropBlob = (at: number, content: string) =>
  command(
    `delete blob ${content} in ${at}`,
    (model, { clock }) => {
      const repository = repositoryOf(model, at);
      if (!isReadable(repository, content, clock.now())) return "blob-not-found";
      if (isReferenced(repository, content)) return "blob-referenced";
      repository.grace.set(content, 0);
      return "ok";
    },
    (_model, { opened: { ctx }, registry }) => deleteBlob(ctx, registry, nameOf(at), sha256(content)),
  );

const put = (at: number, recipe: number, wanted: readonly Tag[]) =>
  command(
    `put manifest ${recipe} in ${at} as [${wanted.join()}]`,
    (model, { clock }) => {
      const repository = repositoryOf(model, at);
      let manifest = repository.manifests.find((each) => each.recipe === recipe);
      if (manifest === undefined) {
        if (!recipes[recipe]?.every((content) => isReadable(repository, content, clock.now()))) return "manifest-blobs-missing";
        manifest = { recipe, pushedAt: clock.now() };
        repository.manifests.push(manifest);
      }
      for (const tag of wanted) {
        const row = repository.tags.find((each) => each.tag === tag);
        if (row === undefined) repository.tags.push({ tag, manifest });
        else row.manifest = manifest;
      }
      return "ok";
    },
    (_model, { opened: { ctx }, registry }) =>
      putManifest(ctx, registry, nameOf(at), { bytes: bytesOfRecipe(recipe), tags: wanted, plane: "oci" }),
  );

const dropTag = (at: number, tag: Tag) =>
  command(
    `delete tag ${tag} in ${at}`,
    (model, { clock }) => {
      const repository = repositoryOf(model, at);
      const row = repository.tags.find((each) => each.tag === tag);
      if (row === undefined) return "manifest-not-found";
      repository.tags = repository.tags.filter((each) => each !== row);
      repository.deadTags.push({ thing: row, deletedAt: clock.now() });
      return "ok";
    },
    (_model, { opened: { ctx }, registry }) => deleteTag(ctx, registry, nameOf(at), tag),
  );

const dropManifest = (at: number, recipe: number) =>
  command(
    `delete manifest ${recipe} in ${at}`,
    (model, { clock }) => {
      const repository = repositoryOf(model, at);
      const deletedAt = clock.now();
      const manifest = repository.manifests.find((each) => each.recipe === recipe);
      if (manifest === undefined) return "manifest-not-found";
      repository.manifests = repository.manifests.filter((each) => each !== manifest);
      repository.deadManifests.push({ thing: manifest, deletedAt });
      const lost = repository.tags.filter((row) => row.manifest === manifest);
      repository.deadTags.push(...lost.map((thing) => ({ thing, deletedAt })));
      repository.tags = repository.tags.filter((row) => row.manifest !== manifest);
      for (const content of recipes[recipe] ?? []) {
        // What was promised after the push stays.
        const isOlder = (repository.grace.get(content) ?? 0) <= manifest.pushedAt + linkGraceMs;
        if (isOlder && !isReferenced(repository, content)) repository.grace.set(content, 0);
      }
      return "ok";
    },
    (_model, { opened: { ctx }, registry }) => deleteManifest(ctx, registry, nameOf(at), sha256(bytesOfRecipe(recipe))),
  );

function newest<Thing>(dead: readonly Dead<Thing>[]): Dead<Thing> | undefined {
  return dead.toSorted((a, b) => b.deletedAt - a.deletedAt)[0];
}

/** Brings the newest incarnation of a recipe back, without tags. */
function reviveManifest(repository: Repository, recipe: number): Dead<Incarnation> | undefined {
  const dead = newest(repository.deadManifests.filter(({ thing }) => thing.recipe === recipe));
  if (dead === undefined) return undefined;
  repository.deadManifests = repository.deadManifests.filter((each) => each !== dead);
  repository.manifests.push(dead.thing);
  return dead;
}

const restoreManifest = (at: number, recipe: number) =>
  command(
    `restore manifest ${recipe} in ${at}`,
    (model) => {
      const repository = repositoryOf(model, at);
      if (repository.manifests.some((each) => each.recipe === recipe)) return "manifest-exists";
      const dead = reviveManifest(repository, recipe);
      if (dead === undefined) return "manifest-not-found";
      const back = repository.deadTags.filter(
        ({ thing, deletedAt }) =>
          thing.manifest === dead.thing && deletedAt === dead.deletedAt && !repository.tags.some(({ tag }) => tag === thing.tag),
      );
      repository.deadTags = repository.deadTags.filter((each) => !back.includes(each));
      repository.tags.push(...back.map(({ thing }) => thing));
      return "ok";
    },
    (_model, { opened: { ctx }, registry }) => restore(ctx, registry, nameOf(at), { digest: sha256(bytesOfRecipe(recipe)) }),
  );

const restoreTag = (at: number, tag: Tag) =>
  command(
    `restore tag ${tag} in ${at}`,
    (model) => {
      const repository = repositoryOf(model, at);
      if (repository.tags.some((row) => row.tag === tag)) return "manifest-exists";
      const dead = newest(repository.deadTags.filter(({ thing }) => thing.tag === tag));
      if (dead === undefined) return "manifest-not-found";
      const { recipe } = dead.thing.manifest;
      const manifest = repository.manifests.find((each) => each.recipe === recipe) ?? reviveManifest(repository, recipe)?.thing;
      if (manifest === undefined) return "manifest-not-found";
      repository.deadTags = repository.deadTags.filter((each) => each !== dead);
      dead.thing.manifest = manifest;
      repository.tags.push(dead.thing);
      return "ok";
    },
    (_model, { opened: { ctx }, registry }) => restore(ctx, registry, nameOf(at), { tag }),
  );

const wait = (ms: number) =>
  command(
    `wait ${ms}`,
    () => "ok",
    async (_model, { clock }) => clock.advance(ms),
  );

const collect = (graceMs: number | undefined) =>
  command(
    `collect with grace ${graceMs}`,
    (model, { clock }) => {
      const now = clock.now();
      model.sessions = model.sessions.filter((session) => session.expiresAt > now);
      for (const repository of model.repositories) {
        const isFinal = ({ deletedAt }: Dead<unknown>) => deletedAt <= now - undoMs;
        const final = new Set(repository.deadManifests.filter(isFinal).map(({ thing }) => thing));
        repository.deadManifests = repository.deadManifests.filter((dead) => !isFinal(dead));
        repository.deadTags = repository.deadTags.filter((dead) => !isFinal(dead) && !final.has(dead.thing.manifest));
        if (graceMs === 0) repository.grace.clear();
      }
      return "ok";
    },
    (_model, { opened: { core } }) => runGarbageCollection(core, { graceMs }),
  );

const start = (at: number) =>
  command(
    `start upload in ${at}`,
    () => "ok",
    async (model, { opened: { ctx }, registry, clock }) => {
      const { uploadId } = await startUpload(ctx, registry, nameOf(at));
      model.sessions.push({ repository: at, uploadId, content: "", expiresAt: clock.now() + uploadTtlMs });
    },
  );

/** A command on the `which`-th open session; nothing when there are fewer. `predict` sees the session, and whether it is alive. */
function onSession(
  text: string,
  which: number,
  predict: (model: Model, real: Real, session: Session) => string,
  act: (real: Real, session: Session) => Promise<unknown>,
): Command {
  return {
    ...command(
      `${text} upload ${which}`,
      (model, real) => {
        const session = model.sessions[which] as Session;
        return session.expiresAt > real.clock.now() ? predict(model, real, session) : "upload-not-found";
      },
      (model, real) => act(real, model.sessions[which] as Session),
    ),
    check: (model) => model.sessions.length > which,
  };
}

const append = (which: number, chunk: string) =>
  onSession(
    `append ${chunk} to`,
    which,
    (_model, { clock }, session) => {
      session.content += chunk;
      session.expiresAt = clock.now() + uploadTtlMs;
      return "ok";
    },
    ({ opened: { ctx }, registry }, session) =>
      appendUpload(ctx, registry, nameOf(session.repository), session.uploadId, {
        ...incoming(chunk),
        firstByte: session.content.length,
      }),
  );

const forget = (model: Model, session: Session) => {
  model.sessions = model.sessions.filter((each) => each !== session);
};

const complete = (which: number, isRight: boolean, restarted: boolean) =>
  onSession(
    `complete ${isRight ? "" : "wrongly "}${restarted ? "after a restart " : ""}`,
    which,
    (model, { clock }, session) => {
      forget(model, session);
      if (!isRight) return "digest-mismatch";
      repositoryOf(model, session.repository).grace.set(session.content, clock.now() + linkGraceMs);
      return "ok";
    },
    ({ opened, registry }, session) =>
      completeUpload(restarted ? opened.restart() : opened.ctx, registry, nameOf(session.repository), session.uploadId, {
        digest: sha256(isRight ? session.content : `${session.content}!`),
      }),
  );

const cancel = (which: number) =>
  onSession(
    "cancel",
    which,
    (model, _real, session) => {
      forget(model, session);
      return "ok";
    },
    ({ opened: { ctx }, registry }, session) => cancelUpload(ctx, registry, nameOf(session.repository), session.uploadId),
  );

const at = fc.nat({ max: names.length - 1 });
const content = fc.constantFrom(...contents);
const recipe = fc.nat({ max: recipes.length - 1 });
const tag = fc.constantFrom(...tags);
const which = fc.nat({ max: 2 });
const hourMs = 3_600_000;

/** Random sequences of all operations. */
export const commands = fc.commands(
  [
    fc.tuple(at, content).map(([where, what]) => push(where, what)),
    fc.tuple(at, content).map(([where, what]) => push(where, what)),
    fc.tuple(at, content).map(([where, what]) => head(where, what)),
    fc.tuple(at, content).map(([where, what]) => head(where, what)),
    fc.tuple(at, content).map(([where, what]) => mount(where, what)),
    fc.tuple(at, content).map(([where, what]) => dropBlob(where, what)),
    fc.tuple(at, recipe, fc.subarray(tags)).map(([where, what, as]) => put(where, what, as)),
    fc.tuple(at, recipe, fc.subarray(tags)).map(([where, what, as]) => put(where, what, as)),
    fc.tuple(at, tag).map(([where, what]) => dropTag(where, what)),
    fc.tuple(at, recipe).map(([where, what]) => dropManifest(where, what)),
    fc.tuple(at, recipe).map(([where, what]) => restoreManifest(where, what)),
    fc.tuple(at, tag).map(([where, what]) => restoreTag(where, what)),
    fc.constantFrom(hourMs, 13 * hourMs).map(wait),
    fc.constantFrom(13 * hourMs, 13 * hourMs, 6 * 24 * hourMs).map(wait),
    fc.constantFrom(0, undefined).map(collect),
    at.map(start),
    fc.tuple(which, fc.constantFrom("a", "b")).map(([session, chunk]) => append(session, chunk)),
    fc.tuple(which, fc.boolean(), fc.boolean()).map(([session, isRight, restarted]) => complete(session, isRight, restarted)),
    which.map(cancel),
  ],
  { size: "+1", maxCommands: 60 },
);

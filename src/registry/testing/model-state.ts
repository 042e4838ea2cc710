/** The state of the naive model in `model-commands.ts`, and how it is compared with the real registry. */
import assert from "node:assert/strict";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import { getBlob } from "../blob.ts";
import type { RegistryRef } from "../context.ts";
import { RegistryError } from "../errors.ts";
import { listManifestTags } from "../manifest-batch.ts";
import { listTags } from "../tag.ts";
import type { ManualClock, TestRegistry } from "./test-registry.ts";
import { manifestOf, readAll, sha256 } from "./test-registry.ts";

/** The repositories of the model. */
export const names = ["team/one", "team/two"] as RepositoryName[];
/** Few, so that operations meet on them. */
export const contents = ["a", "b", "ab"];
/** What manifest `i` is made of: a config and layers. */
export const recipes: readonly (readonly string[])[] = [["a"], ["b", "ab"], ["ab", "a", "b"]];
/** The tags of the model. */
export const tags = ["v1", "v2"] as Tag[];

/** Something deleted. */
export interface Dead<Thing> {
  readonly thing: Thing;
  readonly deletedAt: number;
}
/** One push of a recipe; pushed again after its deletion it is another one. */
export interface Incarnation {
  readonly recipe: number;
  readonly pushedAt: number;
}
/** A tag on a manifest. */
export interface TagRow {
  readonly tag: Tag;
  manifest: Incarnation;
}
/** What a repository holds. */
export interface Repository {
  /** Until when a link is readable without a manifest, by content. */
  readonly grace: Map<string, number>;
  manifests: Incarnation[];
  tags: TagRow[];
  deadManifests: Dead<Incarnation>[];
  deadTags: Dead<TagRow>[];
}
/** An open upload. */
export interface Session {
  readonly repository: number;
  readonly uploadId: string;
  content: string;
  expiresAt: number;
}
/** What should be there. */
export interface Model {
  readonly repositories: readonly Repository[];
  sessions: Session[];
}
/** What is there. */
export interface Real {
  readonly opened: TestRegistry;
  readonly clock: ManualClock;
  readonly registry: RegistryRef;
}
/** A model of two empty repositories. */
export function createModel(): Model {
  const empty = (): Repository => ({ grace: new Map(), manifests: [], tags: [], deadManifests: [], deadTags: [] });
  return { repositories: [empty(), empty()], sessions: [] };
}

/** Whether a live manifest needs the content. */
export const isReferenced = (repository: Repository, content: string) =>
  repository.manifests.some(({ recipe }) => recipes[recipe]?.includes(content));
/** Whether the content can be read. */
export const isReadable = (repository: Repository, content: string, now: number) =>
  isReferenced(repository, content) || (repository.grace.get(content) ?? 0) > now;
/** The manifest of a recipe. */
export const bytesOfRecipe = (recipe: number) => manifestOf(recipes[recipe]?.[0] ?? "", recipes[recipe]?.slice(1) ?? []);

/** "ok", or the kind of the refusal. */
export async function answerOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "ok";
  } catch (error) {
    if (error instanceof RegistryError) return error.refusal.kind;
    throw error;
  }
}

/** Everything a client can see, compared. */
export async function compare(model: Model, { opened: { ctx }, clock, registry }: Real): Promise<void> {
  for (const [position, repository] of model.repositories.entries()) {
    const name = names[position] as RepositoryName;
    const pairs = repository.tags.map(({ tag, manifest }) => `${tag} ${sha256(bytesOfRecipe(manifest.recipe))}`);
    const untagged = repository.manifests.filter((manifest) => !repository.tags.some((row) => row.manifest === manifest));
    pairs.push(...untagged.map(({ recipe }) => ` ${sha256(bytesOfRecipe(recipe))}`));
    const { entries } = await listManifestTags(ctx, registry, name, { limit: 100 });
    assert.deepEqual(entries.map(({ digest, tag = "" }) => `${tag} ${digest}`).toSorted(), pairs.toSorted());
    assert.deepEqual((await listTags(ctx, registry, name, { limit: 100 })).tags, repository.tags.map(({ tag }) => tag).toSorted());
    for (const content of contents) {
      const readable = isReadable(repository, content, clock.now());
      const blob = getBlob(ctx, registry, name, sha256(content));
      assert.equal(await answerOf(blob), readable ? "ok" : "blob-not-found", `${name} ${content}`);
      if (!readable) continue;
      const stored = await (await blob).open();
      assert.equal(stored.kind === "bytes" && (await readAll(stored.stream)), content);
    }
  }
}

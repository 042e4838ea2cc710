import { listTags } from "#registry/tag.ts";
import { sendJson } from "./answer.ts";
import type { RepositoryCall } from "./call.ts";
import { nextPageHeaders, readPageQuery } from "./page.ts";

/** GET `/v2/<name>/tags/list` (end-8a, end-8b): tags in byte order, those after `last`, at most `n`. */
export async function getTags(call: RepositoryCall): Promise<void> {
  const { context, registry, name } = call;
  const { limit, after } = readPageQuery(call.query, context.core.limits.tagsPage);
  const { tags, next } = await listTags(context, registry, name, { after, limit });
  const link =
    next === undefined
      ? []
      : nextPageHeaders(`/v2/${name}/tags/list`, [
          ["last", next],
          ["n", String(limit)],
        ]);
  sendJson(call.exchange, 200, link, { name, tags });
}

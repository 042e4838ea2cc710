import { listRepositories } from "#registry/repository.ts";
import { sendJson } from "./answer.ts";
import type { Call } from "./call.ts";
import { nextPageHeaders, readPageQuery } from "./page.ts";

/** GET `/v2/_catalog`: the names of this registry's repositories, in byte order. */
export async function getCatalog(call: Call): Promise<void> {
  const { limit, after } = readPageQuery(call.query, call.context.core.limits.catalogPage);
  if (limit === 0) return sendJson(call.exchange, 200, [], { repositories: [] });
  const { repositories, next } = await listRepositories(call.context, call.registry, { after, limit });
  const link =
    next === undefined
      ? []
      : nextPageHeaders("/v2/_catalog", [
          ["last", next],
          ["n", String(limit)],
        ]);
  sendJson(call.exchange, 200, link, { repositories: repositories.map((repository) => repository.name) });
}

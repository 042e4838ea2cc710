import { authorize } from "#access/authorize.ts";
import { originOf } from "#access/request-origin.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { refuse } from "#registry/errors.ts";
import { openPageToken, sealPageToken } from "#registry/page-token.ts";
import { listRepositories } from "#registry/repository.ts";
import { actions } from "./action.ts";
import { sendJson } from "./answer.ts";
import type { Call } from "./call.ts";
import type { OciFault } from "./errors.ts";
import { nextPageHeaders, readPageQuery } from "./page.ts";

const path = "/v2/_catalog";
/** One request asks of so many repositories whether they may be seen; the link leads on behind them. */
const mostExamined = 1_000;
const examinedAtOnce = 100;

/** GET `/v2/_catalog`: the names of this registry's repositories, in byte order. */
export async function getCatalog(call: Call): Promise<void> {
  const { limit, after } = readPageQuery(call.query, call.context.core.limits.catalogPage);
  if (limit === 0) return sendJson(call.exchange, 200, [], { repositories: [] });
  const { repositories, next } = await listRepositories(call.context, call.registry, { after, limit });
  const link =
    next === undefined
      ? []
      : nextPageHeaders(path, [
          ["last", next],
          ["n", String(limit)],
        ]);
  sendJson(call.exchange, 200, link, { repositories: repositories.map((repository) => repository.name) });
}

/**
 * The same for a caller who may not list every repository: those that it may see one by one. Where the page goes on is sealed, for it may
 * be a name that the caller must not learn. Who may see none is refused, as if nothing had been looked for.
 */
export async function getVisibleCatalog(call: Call, deny: () => OciFault): Promise<void> {
  const { limit, after } = readPageQuery(call.query, call.context.core.limits.catalogPage);
  const token = call.query.get("position");
  let position = token === null ? after : openPosition(call, token);
  const isFirst = position === undefined;
  const names: string[] = [];
  let isMore = limit > 0;
  for (let examined = 0; isMore && names.length < limit && examined < mostExamined;) {
    const page = await listRepositories(call.context, call.registry, { after: position, limit: examinedAtOnce });
    isMore = page.next !== undefined;
    for (const { name } of page.repositories) {
      if (names.length === limit) {
        isMore = true;
        break;
      }
      position = name;
      examined += 1;
      if (await maySee(call, name as RepositoryName)) names.push(name);
    }
  }
  if (names.length === 0 && isFirst && !isMore) throw deny();
  const link =
    !isMore || position === undefined
      ? []
      : nextPageHeaders(path, [
          ["position", sealPageToken(call.context, purposeOf(call), position)],
          ["n", String(limit)],
        ]);
  sendJson(call.exchange, 200, link, { repositories: names });
}

async function maySee(call: Call, name: RepositoryName): Promise<boolean> {
  const resource = call.addressing.repositoryArn(call.registry, name);
  const ask = { action: actions.listRepositories, resource, region: call.registry.region, origin: originOf(call.exchange) };
  return (await authorize(call.access, call.principal, ask)).allowed;
}

function openPosition(call: Call, token: string): string {
  const position = openPageToken(call.context, purposeOf(call), token);
  return typeof position === "string" ? position : refuse("page-token-invalid", {});
}

function purposeOf({ registry, principal }: Call): string {
  return JSON.stringify(["catalog", registry.accountId, registry.region, principal.principalId]);
}

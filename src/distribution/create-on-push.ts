/** Pushes into repositories that are not there yet, where a creation template says that a push creates them (Amazon ECR User Guide, "Repository creation templates"). */
import { authorize } from "#access/authorize.ts";
import { givenTagKeys } from "#access/condition-keys.ts";
import type { ConditionKeys } from "#access/condition-keys.ts";
import { originOf } from "#access/request-origin.ts";
import { RegistryError } from "#registry/errors.ts";
import { createByService, findTemplateFor } from "#registry/repository-creation.ts";
import type { RepositoryCall } from "./call.ts";

/**
 * Does `push`; when its repository is missing, a template covers the name and the caller may create it, creates it and does `push` again. In
 * every other case the answer is that of a missing repository: whether there is a template is not for everybody to know.
 * Invariant: a push that finds no repository has not read the request's body.
 */
export async function creatingOnPush<T>(call: RepositoryCall, push: () => Promise<T>): Promise<T> {
  try {
    return await push();
  } catch (error) {
    const isMissing = error instanceof RegistryError && error.refusal.kind === "repository-not-found";
    if (!isMissing || !(await createForPush(call))) throw error;
  }
  return push();
}

async function createForPush(call: RepositoryCall): Promise<boolean> {
  const { context, registry, name } = call;
  const template = await findTemplateFor(context, registry, name, "CREATE_ON_PUSH");
  if (template === undefined) return false;
  const isTagged = template.resourceTags.length > 0;
  const keys = givenTagKeys(Object.fromEntries(template.resourceTags));
  if (!(await isAllowed(call, "ecr:CreateRepository", keys))) return false;
  if (isTagged && !(await isAllowed(call, "ecr:TagResource", keys))) return false;
  await createByService(context, registry, name, "CREATE_ON_PUSH");
  return true;
}

async function isAllowed(call: RepositoryCall, action: string, keys: ConditionKeys): Promise<boolean> {
  const { access, principal, registry, exchange } = call;
  const resource = call.addressing.repositoryArn(registry, call.name);
  const decision = await authorize(access, principal, { action, resource, region: registry.region, origin: originOf(exchange), keys });
  exchange.decided({ action, resource, allowed: decision.allowed, statements: decision.statements });
  return decision.allowed;
}

import { parseDigest } from "#oci/digest.ts";
import { refuse } from "#registry/errors.ts";
import { getRepository } from "#registry/repository.ts";
import { registryOf } from "../call.ts";
import { pullReferrers } from "./pull-through-image.ts";
import { digestGrammar } from "./image-failure.ts";
import { openPage, sealPage } from "./page.ts";
import { repositoryArn, repositoryNameOf } from "./shape.ts";
import type { EcrRows } from "./table.ts";

const defaultPage = 20;

/** What points at an image: signatures, SBOMs and the like. */
export const referrerOperations: EcrRows<"ListImageReferrers"> = {
  ListImageReferrers: {
    // AWS authorizes it as BatchGetImage; there is no permission of its own name.
    action: "ecr:BatchGetImage",
    resource: repositoryArn,
    check: ({ subjectId: { imageDigest } }) => {
      if (!digestGrammar.test(imageDigest)) refuse("digest-invalid", { digest: imageDigest, problem: "" });
    },
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const name = repositoryNameOf(input.repositoryName);
      const { artifactTypes = [], artifactStatus = "ACTIVE" } = input.filter ?? {};
      const subject = parseDigest(input.subjectId.imageDigest);
      const listing = [
        "ListImageReferrers",
        registry.accountId,
        registry.region,
        name,
        input.subjectId.imageDigest,
        artifactStatus,
        ...artifactTypes,
      ];
      const after = openPage(call, listing, input.nextToken, (position): position is string => typeof position === "string");
      if (!subject.ok) {
        // A digest that nothing can have has no referrers; the repository is judged first, as always.
        await getRepository(call.context, registry, name);
        return { referrers: [] };
      }
      const limit = input.maxResults ?? defaultPage;
      const page = await pullReferrers(call, registry, name, subject.value, {
        artifactTypes,
        status: artifactStatus,
        after,
        limit,
      });
      return {
        referrers: page.referrers.map(({ digest, mediaType, sizeBytes, artifactType, annotations, status }) => ({
          digest,
          mediaType,
          size: sizeBytes,
          ...(artifactType !== undefined && { artifactType }),
          ...(annotations !== undefined && { annotations }),
          artifactStatus: status,
        })),
        ...sealPage(call, listing, page.next),
      };
    },
  },
};

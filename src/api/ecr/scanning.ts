import {
  findScanning,
  getScanConfiguration,
  checkScanConfiguration,
  putScanConfiguration,
  putScanOnPush,
} from "#registry/scan-configuration.ts";
import { startScan } from "#registry/scan.ts";
import { ownRegistry, registryOf } from "../call.ts";
import { checkImageId, imageIdShape, manifestName, namedTags } from "./image.ts";
import type { PutRegistryScanningConfigurationRequest } from "./model/shapes.ts";
import { scanStatusShape } from "./scan-findings.ts";
import { repositoryArn, repositoryNameOf } from "./shape.ts";
import type { EcrRows } from "./table.ts";

/** When images are scanned for vulnerabilities, and scanning one now. */
export const scanningOperations: EcrRows<
  | "PutImageScanningConfiguration"
  | "PutRegistryScanningConfiguration"
  | "GetRegistryScanningConfiguration"
  | "BatchGetRepositoryScanningConfiguration"
  | "StartImageScan"
> = {
  PutImageScanningConfiguration: {
    action: "ecr:PutImageScanningConfiguration",
    resource: repositoryArn,
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const wanted = input.imageScanningConfiguration.scanOnPush ?? false;
      const { name, scanOnPush } = await putScanOnPush(call.context, registry, repositoryNameOf(input.repositoryName), wanted);
      return { registryId: registry.accountId, repositoryName: name, imageScanningConfiguration: { scanOnPush } };
    },
  },

  PutRegistryScanningConfiguration: {
    action: "ecr:PutRegistryScanningConfiguration",
    resource: () => "*",
    check: (input) => checkScanConfiguration(configurationOf(input)),
    handle: async (call, input) => {
      const configuration = configurationOf(input);
      await putScanConfiguration(call.context, ownRegistry(call), configuration);
      return { registryScanningConfiguration: configuration };
    },
  },

  GetRegistryScanningConfiguration: {
    action: "ecr:GetRegistryScanningConfiguration",
    resource: () => "*",
    handle: async (call) => {
      const registry = ownRegistry(call);
      return { registryId: registry.accountId, scanningConfiguration: await getScanConfiguration(call.context, registry) };
    },
  },

  BatchGetRepositoryScanningConfiguration: {
    action: "ecr:BatchGetRepositoryScanningConfiguration",
    resource: (call, input) => input.repositoryNames.map((repositoryName) => repositoryArn(call, { repositoryName })),
    handle: async (call, input) => {
      const names = [...new Set(input.repositoryNames)].map(repositoryNameOf);
      const found = await findScanning(call.context, ownRegistry(call), names);
      return {
        scanningConfigurations: found.flatMap(({ name: repositoryName, scanning }) =>
          scanning === undefined
            ? []
            : [
                {
                  repositoryArn: repositoryArn(call, { repositoryName }),
                  repositoryName,
                  scanOnPush: scanning.frequency !== "MANUAL",
                  scanFrequency: scanning.frequency,
                  appliedScanFilters: scanning.filters,
                },
              ],
        ),
        failures: found.flatMap(({ name: repositoryName, scanning }) =>
          scanning === undefined
            ? [{ repositoryName, failureCode: "REPOSITORY_NOT_FOUND" as const, failureReason: "REPOSITORY_NOT_FOUND" }]
            : [],
        ),
      };
    },
  },

  StartImageScan: {
    action: "ecr:StartImageScan",
    resource: repositoryArn,
    conditionKeys: (_call, input) => namedTags([input.imageId]),
    check: (input) => checkImageId(input.imageId, "imageId"),
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const name = repositoryNameOf(input.repositoryName);
      const { digest, state } = await startScan(call.context, registry, name, manifestName(input.imageId));
      return {
        registryId: registry.accountId,
        repositoryName: name,
        imageId: imageIdShape(digest, input.imageId.imageTag),
        imageScanStatus: scanStatusShape(state),
      };
    },
  },
};

/** Replaces everything: what is not given has its default. */
function configurationOf({ scanType = "BASIC", rules = [] }: PutRegistryScanningConfigurationRequest) {
  return { scanType, rules };
}

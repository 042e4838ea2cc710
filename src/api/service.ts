/**
 * The services that the control plane answers for. Each is loaded by its first call: a registry that is only pushed to and pulled from does
 * not carry what nobody asks of it, and starts sooner.
 */
import type { ServiceModel } from "#aws/model.ts";
import { ecrModel } from "./ecr/service-model.ts";
import { ecrOperations } from "./ecr/table.ts";
import type { InputProblems } from "./json-input.ts";
import { parameterProblem, validationProblem } from "./json-input.ts";

/** A service, loaded. */
export interface LoadedService {
  /** How signatures are scoped. */
  readonly name: string;
  readonly model: ServiceModel;
  readonly operations: Readonly<Record<string, unknown>>;
}

/** A service of AWS JSON 1.1. */
export interface JsonService {
  readonly targetPrefix: string;
  /** How the service says that an input breaks its model. */
  readonly problemOf: InputProblems;
  readonly load: () => Promise<LoadedService>;
}

const ecr: LoadedService = { name: "ecr", model: ecrModel, operations: ecrOperations };

/** The services of AWS JSON 1.1. */
export const jsonServices: readonly JsonService[] = [
  { targetPrefix: ecrModel.targetPrefix, problemOf: parameterProblem, load: async () => ecr },
  {
    targetPrefix: "Supercargo_V1",
    problemOf: parameterProblem,
    load: async () => {
      const { replicaOperations: operations, replicationModel: model } = await import("./ecr/replication-service.ts");
      return { name: "ecr", model, operations };
    },
  },
  {
    targetPrefix: "TrentService",
    problemOf: validationProblem,
    load: async () => {
      const [{ kmsModel: model }, { kmsOperations: operations }] = await Promise.all([
        import("./kms/service-model.ts"),
        import("./kms/table.ts"),
      ]);
      return { name: "kms", model, operations };
    },
  },
  {
    targetPrefix: "secretsmanager",
    problemOf: validationProblem,
    load: async () => {
      const [{ secretsModel: model }, { secretsOperations: operations }] = await Promise.all([
        import("./secretsmanager/service-model.ts"),
        import("./secretsmanager/table.ts"),
      ]);
      return { name: "secretsmanager", model, operations };
    },
  },
];

/** The services of the Query protocol, by the names that signatures are scoped with. */
export const queryServices: Readonly<Record<"iam" | "sts", () => Promise<LoadedService>>> = {
  async iam() {
    const [{ iamModel: model }, { iamOperations: operations }] = await Promise.all([
      import("./iam/service-model.ts"),
      import("./iam/table.ts"),
    ]);
    return { name: "iam", model, operations };
  },
  async sts() {
    const [{ stsModel: model }, { stsOperations: operations }] = await Promise.all([
      import("./sts/service-model.ts"),
      import("./sts/table.ts"),
    ]);
    return { name: "sts", model, operations };
  },
};

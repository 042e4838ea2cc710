/**
 * All operations of the service `iam`, one row each. The compiler holds the table total over the service's model: an operation is
 * offered, or it is refused by name with a reason, and there is no third state.
 */
import type { OperationRow, RefusedRow } from "../call.ts";
import { absentThingOperations } from "./absent-thing.ts";
import { attachmentOperations } from "./attachment.ts";
import { authorizationDetailOperations } from "./authorization-details.ts";
import { boundaryOperations } from "./boundary.ts";
import { contextKeyOperations } from "./context-key.ts";
import { inlinePolicyOperations } from "./inline-policy.ts";
import { managedPolicyOperations } from "./managed-policy.ts";
import { simulationOperations } from "./simulation.ts";
import type { IamOperations } from "./model/shapes.ts";
import { instanceProfileOperations } from "./instance-profile.ts";
import { oidcProviderOperations } from "./oidc-provider.ts";
import { roleOperations } from "./role.ts";
import { samlProviderOperations } from "./saml-provider.ts";
import { serviceLinkedRoleOperations } from "./service-linked-role.ts";
import { userOperations } from "./user.ts";
import { accessKeyOperations } from "./access-key.ts";
import { groupOperations } from "./group.ts";
import { loginOperations } from "./login.ts";
import { accountOperations } from "./account.ts";

/** The name of an operation of the service `iam`. */
export type IamOperationName = keyof IamOperations;

/** The row of one operation, with the model's input and output types. */
export type IamRow<Name extends IamOperationName> = OperationRow<IamOperations[Name]["input"], IamOperations[Name]["output"]>;

/** Rows of some operations. */
export type IamRows<Names extends IamOperationName> = { readonly [Name in Names]: IamRow<Name> };

/** What the service `iam` can do. */
export const iamOperations = {
  ...managedPolicyOperations,
  ...attachmentOperations,
  ...inlinePolicyOperations,
  ...boundaryOperations,
  ...simulationOperations,
  ...contextKeyOperations,
  ...authorizationDetailOperations,
  ...roleOperations,
  ...serviceLinkedRoleOperations,
  ...instanceProfileOperations,
  ...oidcProviderOperations,
  ...samlProviderOperations,
  ...userOperations,
  ...accessKeyOperations,
  ...groupOperations,
  ...loginOperations,
  ...accountOperations,
  ...absentThingOperations,
} satisfies { readonly [Name in IamOperationName]: IamRow<Name> | RefusedRow };

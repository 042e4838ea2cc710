/** Who asks, as far as policies can tell callers apart. */

/** The caller of a request. `arn` is what policies and messages name; ids of accounts are 12 digits. */
export type Caller =
  | { readonly kind: "root"; readonly accountId: string; readonly arn: string }
  | { readonly kind: "user"; readonly accountId: string; readonly arn: string; readonly uniqueId: string }
  | {
      readonly kind: "role-session";
      readonly accountId: string;
      /** `arn:aws:sts::<account>:assumed-role/<role name>/<session name>` */
      readonly arn: string;
      /** The role's own ARN, with its path. */
      readonly roleArn: string;
      /** The role's unique id (AROA…). */
      readonly uniqueId: string;
    }
  | {
      readonly kind: "federated";
      readonly accountId: string;
      readonly arn: string;
      /** The root or user caller that asked for the session. */
      readonly issuer: Caller;
    }
  | { readonly kind: "service"; readonly service: string }
  /** AssumeRoleWithWebIdentity and AssumeRoleWithSAML: the provider is all that is proven about the caller. */
  | { readonly kind: "web-identity"; readonly providerArn: string }
  | { readonly kind: "anonymous" };

/** A caller that belongs to an account, and so can have policies of its own. */
export type AccountCaller = Extract<Caller, { accountId: string }>;

/** Does the caller belong to an account? Services, identity providers and strangers do not. */
export function hasAccount(caller: Caller): caller is AccountCaller {
  return "accountId" in caller;
}

/** What messages call the caller: its ARN, the service's name, or `anonymous`. */
export function callerName(caller: Caller): string {
  switch (caller.kind) {
    case "service":
      return caller.service;
    case "web-identity":
      return caller.providerArn;
    case "anonymous":
      return "anonymous";
    case "root":
    case "user":
    case "role-session":
    case "federated":
    default:
      return caller.arn;
  }
}

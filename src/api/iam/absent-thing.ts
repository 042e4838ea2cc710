import { getUser } from "#identity/user.ts";
import type { ApiCall } from "../call.ts";
import { identityContext } from "./identity-shape.ts";
import type { IamRows } from "./table.ts";
import { onUser, userNameOf } from "./user-target.ts";

/**
 * What users can have at AWS and cannot have here: MFA devices, SSH keys, signing certificates, credentials of other services. Clients ask
 * for them before they delete a user, and the answer is that there are none.
 */
export const absentThingOperations: IamRows<
  "ListMFADevices" | "ListSSHPublicKeys" | "ListServiceSpecificCredentials" | "ListSigningCertificates" | "ListVirtualMFADevices"
> = {
  ListMFADevices: {
    action: "iam:ListMFADevices",
    ...onUser,
    handle: async (call, input) => (await expectUser(call, input), { MFADevices: [], IsTruncated: false }),
  },
  ListSSHPublicKeys: {
    action: "iam:ListSSHPublicKeys",
    ...onUser,
    handle: async (call, input) => (await expectUser(call, input), { SSHPublicKeys: [], IsTruncated: false }),
  },
  ListServiceSpecificCredentials: {
    action: "iam:ListServiceSpecificCredentials",
    ...onUser,
    handle: async (call, input) => (await expectUser(call, input), { ServiceSpecificCredentials: [], IsTruncated: false }),
  },
  ListSigningCertificates: {
    action: "iam:ListSigningCertificates",
    ...onUser,
    handle: async (call, input) => (await expectUser(call, input), { Certificates: [], IsTruncated: false }),
  },
  ListVirtualMFADevices: {
    action: "iam:ListVirtualMFADevices",
    resource: () => "*",
    handle: async () => ({ VirtualMFADevices: [], IsTruncated: false }),
  },
};

/** Throws `not-found` for a user that is named and does not exist. */
async function expectUser(call: ApiCall, input: { readonly UserName?: string | undefined }): Promise<void> {
  const name = userNameOf(call, input);
  if (name !== undefined) await getUser(identityContext(call), name);
}

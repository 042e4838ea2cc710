/** How much an account may have (IAM User Guide, "IAM and AWS STS quotas"), under AWS's names where an error shows them. */
export const identityQuotas = {
  UsersPerAccount: 5000,
  GroupsPerAccount: 300,
  GroupsPerUser: 10,
  AccessKeysPerUser: 2,
} as const;

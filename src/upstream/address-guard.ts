/**
 * The upstream room: other servers, as a client. What this server is told to ask by people it does not trust must not reach what only this
 * machine or its network can. This file judges addresses and names; it asks nobody.
 */
import { BlockList, isIP } from "node:net";

/** IPv4 networks that are nobody's public server (IANA IPv4 Special-Purpose Address Registry). */
const closedV4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.31.196.0", 24],
  ["192.52.193.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["192.175.48.0", 24],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  // Multicast, reserved, broadcast.
  ["224.0.0.0", 3],
];

/** Of the one IPv6 network that is handed out for use (2000::/3) the parts that are not, or that carry an IPv4 address inside. */
const closedV6: readonly (readonly [string, number])[] = [
  // Protocol assignments; Teredo is among them.
  ["2001::", 23],
  ["2001:db8::", 32],
  // 6to4.
  ["2002::", 16],
  ["2620:4f:8000::", 48],
  ["3fff::", 20],
];

const closed = new BlockList();
for (const [network, bits] of closedV4) closed.addSubnet(network, bits, "ipv4");
const openV6 = new BlockList();
openV6.addSubnet("2000::", 3, "ipv6");
const exceptV6 = new BlockList();
for (const [network, bits] of closedV6) exceptV6.addSubnet(network, bits, "ipv6");

/**
 * May a stranger send this server to that address? Only to what is public by itself: not to private, loopback, link-local, metadata,
 * shared, documentation, multicast or reserved addresses, and to no IPv6 address that stands for an IPv4 one (mapped, compatible, NAT64,
 * 6to4, Teredo), whatever is inside. Text that is no plain address is refused.
 */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !closed.check(address, "ipv4");
    case 6:
      // With a zone it is one of this machine's links.
      return !address.includes("%") && openV6.check(address, "ipv6") && !exceptV6.check(address, "ipv6");
    default:
      return false;
  }
}

/** Is a URL's host on the operator's list? An entry `host` stands for every port of the host, `host:port` for that one. */
export function isTrustedHost(trustedHosts: readonly string[], url: URL): boolean {
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  return trustedHosts.includes(url.hostname) || trustedHosts.includes(`${url.hostname}:${port}`);
}

/**
 * Which network addresses a master may be made to connect to by whoever asks it to. A name is judged by what it resolves
 * to, at the moment of the connection and never before: the next look-up may say otherwise (DNS rebinding).
 *
 * Sources: RFC 6890 and the IANA registries of special-purpose addresses; of clouds, where metadata is served.
 */
import { type LookupAddress, type LookupOptions, lookup as systemLookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** Loopback, private, link-local (and its metadata services), CGNAT, test nets, multicast, reserved. */
const NOT_PUBLIC_4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['168.63.129.16', 32],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];
/** Within 2000::/3, the only part of IPv6 that is global unicast: protocols, tunnels to IPv4, documentation. */
const NOT_PUBLIC_6: readonly (readonly [string, number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];

const refused4 = listOf('ipv4', NOT_PUBLIC_4);
const refused6 = listOf('ipv6', NOT_PUBLIC_6);
const global6 = listOf('ipv6', [['2000::', 3]]);

/** Whether an IP address is one of the public Internet; one in a form that is not known is not. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !refused4.check(address, 'ipv4');
    case 6:
      return !address.includes('%') && global6.check(address, 'ipv6') && !refused6.check(address, 'ipv6');
    default:
      return false;
  }
}

export type Lookup = (
  name: string,
  options: LookupOptions & { all: true },
  done: (error: Error | null, addresses: LookupAddress[]) => void,
) => void;

/** A look-up for sockets that gives public addresses only, and fails where there are none. */
export function publicLookup(lookup: Lookup = systemLookup): LookupFunction {
  return (name, options, done) => {
    lookup(name, { ...options, all: true }, (error, found) => {
      const addresses = error ? [] : found.filter(({ address }) => isPublicAddress(address));
      const [first] = addresses;
      if (!first) return done(error ?? new Error(`${name} is not at a public address`), []);
      if (options.all) return done(null, addresses);
      done(null, first.address, first.family);
    });
  };
}

function listOf(family: 'ipv4' | 'ipv6', subnets: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [net, prefix] of subnets) list.addSubnet(net, prefix, family);
  return list;
}

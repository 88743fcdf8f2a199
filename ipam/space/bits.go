package space

import (
	"errors"
	"fmt"
	"net/netip"
)

// Check refuses a prefix that does not name a range: none at all, one with bits behind its length, an IPv4 address in
// IPv6's form (RFC 4291, 2.5.5.2) whose family nobody could be sure of, or an address with a zone.
func Check(p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return errors.New("not a prefix; want ADDRESS/LENGTH, such as 10.0.0.0/16 or 2001:db8::/48")
	case p.Addr().Is4In6():
		return fmt.Errorf("%s is an IPv4 range in IPv6's form; write it as IPv4, such as 10.0.0.0/16", p)
	case p != p.Masked():
		return fmt.Errorf("%s has bits behind its length; the range is %s", p, p.Masked())
	}
	return nil
}

// bit is the bit of an address behind its first n.
func bit(a netip.Addr, n int) int {
	if a.Is4() {
		b := a.As4()
		return int(b[n/8] >> (7 - n%8) & 1)
	}
	b := a.As16()
	return int(b[n/8] >> (7 - n%8) & 1)
}

// half is the lower half of a prefix, or with side 1 the upper one.
func half(p netip.Prefix, side int) netip.Prefix {
	n := p.Bits()
	if side == 0 {
		return netip.PrefixFrom(p.Addr(), n+1)
	}
	if p.Addr().Is4() {
		b := p.Addr().As4()
		b[n/8] |= 1 << (7 - n%8)
		return netip.PrefixFrom(netip.AddrFrom4(b), n+1)
	}
	b := p.Addr().As16()
	b[n/8] |= 1 << (7 - n%8)
	return netip.PrefixFrom(netip.AddrFrom16(b), n+1)
}

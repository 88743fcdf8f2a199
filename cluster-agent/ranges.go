package clusteragent

import (
	"math/bits"
	"net/netip"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
)

// cover returns the fewest prefixes that hold the same addresses as these, disjoint and sorted, IPv4 first. Where those are
// more than a record has room for, neighbours that are close to each other are covered together, with what lies between them.
func cover(prefixes []netip.Prefix) []netip.Prefix {
	all := fewest(prefixes)
	if len(all) <= record.MaxRanges {
		return all
	}
	shared := make([]int, len(all)-1) // how many leading bits a prefix has in common with the next
	for i := range shared {
		shared[i] = common(all[i], all[i+1])
	}
	// One cut fewer than there is room for prefixes, where the least is shared. Of cuts that share as much all are made or
	// none, so that what is covered together does not reach into what is not.
	near := slices.Sorted(slices.Values(shared))[record.MaxRanges-1]
	var out []netip.Prefix
	first := 0
	for i := range all {
		if i == len(shared) || shared[i] < near {
			out = append(out, span(all[first], all[i]))
			first = i + 1
		}
	}
	return out
}

// fewest merges what adjoins, and leaves out what lies in another.
func fewest(prefixes []netip.Prefix) []netip.Prefix {
	sorted := slices.Clone(prefixes)
	for i := range sorted {
		sorted[i] = sorted[i].Masked()
	}
	slices.SortFunc(sorted, netip.Prefix.Compare)
	var out []netip.Prefix
	for _, p := range sorted {
		if n := len(out); n > 0 && out[n-1].Overlaps(p) {
			continue // what comes first of two is the wider
		}
		for out = append(out, p); len(out) > 1; out = out[:len(out)-1] {
			low, high := out[len(out)-2], out[len(out)-1]
			if low.Bits() == 0 || low.Bits() != high.Bits() || common(low, high) != low.Bits()-1 {
				break
			}
			out[len(out)-2] = span(low, high)
		}
	}
	return out
}

// common is how many leading bits two prefixes share; -1 where they are of two families.
func common(a, b netip.Prefix) int {
	if a.Addr().BitLen() != b.Addr().BitLen() {
		return -1
	}
	x, y := a.Addr().AsSlice(), b.Addr().AsSlice()
	n := 0
	for i := range x {
		if d := x[i] ^ y[i]; d != 0 {
			n += bits.LeadingZeros8(d)
			break
		}
		n += 8
	}
	return min(n, a.Bits(), b.Bits())
}

// span is the longest prefix that holds two of one family.
func span(a, b netip.Prefix) netip.Prefix {
	p, err := a.Addr().Prefix(common(a, b))
	if err != nil {
		panic(err) // no more bits than the address has
	}
	return p
}

// parse reads CIDRs, and passes over what is none.
func parse(cidrs []string) []netip.Prefix {
	var out []netip.Prefix
	for _, cidr := range cidrs {
		if p, err := netip.ParsePrefix(cidr); err == nil && !p.Addr().Is4In6() {
			out = append(out, p)
		}
	}
	return out
}

// texts writes prefixes as records have them.
func texts(prefixes []netip.Prefix) []string {
	var out []string
	for _, p := range prefixes {
		out = append(out, p.String())
	}
	return out
}

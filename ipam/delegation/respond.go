package delegation

import (
	"net/netip"

	"github.com/meridian-federation/meridian/internal/record"
)

// Given is a prefix that a child was given.
type Given struct {
	Prefix netip.Prefix
	// Leaving: its record was taken away, for the child returned it.
	Leaving bool
}

// Response is what a parent does about a child's demand, in this order.
type Response struct {
	// Release are prefixes that the child has dropped, and that others may get.
	Release []netip.Prefix
	// Withdraw are prefixes whose records go, for the child has returned them.
	Withdraw []netip.Prefix
	// Grant are the lengths of the prefixes that it gets.
	Grant []int
}

// Respond looks at what a child says of a pool and at all that it was given of it. Length is that of the prefixes which the
// pool delegates to children of its kind; with 0 it gets no more.
func Respond(d record.Demand, length int, given []Given) Response {
	named := make(map[netip.Prefix]bool, len(d.Returned))
	for _, p := range d.Returned {
		named[p] = true
	}
	var r Response
	live := 0
	for _, g := range given {
		switch {
		case g.Leaving && !named[g.Prefix]:
			r.Release = append(r.Release, g.Prefix)
		case g.Leaving:
		case named[g.Prefix]:
			r.Withdraw = append(r.Withdraw, g.Prefix)
		default:
			live++
		}
	}
	if length == 0 {
		return r
	}
	for missing := min(d.Want, Most) - live; missing > 0; missing-- {
		r.Grant = append(r.Grant, length)
	}
	if len(r.Grant) > 0 && 0 < d.Length && d.Length < length {
		r.Grant[0] = d.Length
	}
	return r
}

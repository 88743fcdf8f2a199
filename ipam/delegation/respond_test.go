package delegation_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam/delegation"
)

func TestRespond(t *testing.T) {
	a, b, c := prefix("10.0.0.0/24"), prefix("10.0.1.0/24"), prefix("10.0.2.0/24")
	given := func(ps ...netip.Prefix) (out []delegation.Given) {
		for _, p := range ps {
			out = append(out, delegation.Given{Prefix: p})
		}
		return out
	}
	tests := []struct {
		name   string
		demand record.Demand
		length int
		given  []delegation.Given
		want   delegation.Response
	}{
		{name: "it gets what it lacks", demand: record.Demand{Want: 3}, length: 24, given: given(a), want: delegation.Response{Grant: []int{24, 24}}},
		{name: "and nothing that is on its way already", demand: record.Demand{Want: 2}, length: 24, given: given(a, b)},
		{name: "a lower want takes nothing back", demand: record.Demand{Want: 0}, length: 24, given: given(a, b)},
		{name: "one larger is given once", demand: record.Demand{Want: 3, Length: 20}, length: 24, given: given(a),
			want: delegation.Response{Grant: []int{20, 24}}},
		{name: "a length that is no shorter changes nothing", demand: record.Demand{Want: 1, Length: 25}, length: 24,
			want: delegation.Response{Grant: []int{24}}},
		{name: "what is returned loses its record", demand: record.Demand{Want: 1, Returned: []netip.Prefix{b}}, length: 24, given: given(a, b),
			want: delegation.Response{Withdraw: []netip.Prefix{b}}},
		{name: "and stays the child's while the child names it", demand: record.Demand{Want: 1, Returned: []netip.Prefix{b}}, length: 24,
			given: []delegation.Given{{Prefix: a}, {Prefix: b, Leaving: true}}},
		{name: "until it does not", demand: record.Demand{Want: 1}, length: 24, given: []delegation.Given{{Prefix: a}, {Prefix: b, Leaving: true}},
			want: delegation.Response{Release: []netip.Prefix{b}}},
		{name: "what is going does not count as held", demand: record.Demand{Want: 2, Returned: []netip.Prefix{a, b}}, length: 24,
			given: []delegation.Given{{Prefix: a}, {Prefix: b, Leaving: true}},
			want:  delegation.Response{Withdraw: []netip.Prefix{a}, Grant: []int{24, 24}}},
		{name: "a return of what it does not have means nothing", demand: record.Demand{Want: 1, Returned: []netip.Prefix{c}}, length: 24, given: given(a)},
		{name: "a pool that is not delegated gives nothing", demand: record.Demand{Want: 3, Returned: []netip.Prefix{a}}, given: given(a),
			want: delegation.Response{Withdraw: []netip.Prefix{a}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := delegation.Respond(test.demand, test.length, test.given)
			if !slices.Equal(got.Release, test.want.Release) || !slices.Equal(got.Withdraw, test.want.Withdraw) ||
				!slices.Equal(got.Grant, test.want.Grant) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	if got := len(delegation.Respond(record.Demand{Want: 1 << 30}, 24, nil).Grant); got != delegation.Most {
		t.Errorf("a child that wants 2^30 prefixes gets %d, want %d", got, delegation.Most)
	}
}

package global

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestSpans holds what is found to overlap against a look at all.
func TestSpans(t *testing.T) {
	prefixes := rapid.Custom(func(t *rapid.T) netip.Prefix {
		addr := netip.AddrFrom4([4]byte{byte(rapid.IntRange(0, 3).Draw(t, "byte") << 6), 0, 0, byte(rapid.IntRange(0, 3).Draw(t, "last"))})
		bits := rapid.IntRange(0, 32).Draw(t, "bits")
		if rapid.Bool().Draw(t, "v6") {
			b := addr.As4()
			addr = netip.AddrFrom16([16]byte{b[0], 15: b[3]})
			bits *= 4
		}
		return netip.PrefixFrom(addr, bits).Masked()
	})
	rapid.Check(t, func(t *rapid.T) {
		var s spans
		model := map[span]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				one := span{prefixes.Draw(t, "prefix"), fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "owner"))}
				s.add(one.prefix, one.owner)
				model[one] = true
			},
			"remove": func(t *rapid.T) {
				one := span{prefixes.Draw(t, "prefix"), fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "owner"))}
				s.remove(one.prefix, one.owner)
				delete(model, one)
			},
			"": func(t *rapid.T) {
				p := prefixes.Draw(t, "sought")
				got := slices.Collect(s.overlapping(p))
				var want []span
				for o := range model {
					if o.prefix.Overlaps(p) {
						want = append(want, o)
					}
				}
				slices.SortFunc(got, span.compare)
				slices.SortFunc(want, span.compare)
				if !slices.Equal(got, want) {
					t.Fatalf("%s overlaps %v, want %v", p, got, want)
				}
			},
		})
	})
}

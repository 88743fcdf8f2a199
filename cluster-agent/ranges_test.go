package clusteragent

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/internal/record"
)

func TestCover(t *testing.T) {
	sparse := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("10.%d.%d.0/24", 2*i/256, 2*i%256))
		}
		return out
	}
	tests := map[string]struct{ cidrs, want []string }{
		"none":                     {nil, nil},
		"neighbours":               {[]string{"10.0.1.0/24", "10.0.0.0/24", "10.0.3.0/24", "10.0.2.0/24"}, []string{"10.0.0.0/22"}},
		"neighbours of two blocks": {[]string{"10.0.1.0/24", "10.0.2.0/24"}, []string{"10.0.1.0/24", "10.0.2.0/24"}},
		"one in another":           {[]string{"10.0.0.0/24", "10.0.0.0/16", "10.0.255.0/24"}, []string{"10.0.0.0/16"}},
		"twice the same":           {[]string{"10.0.0.0/24", "10.0.0.0/24"}, []string{"10.0.0.0/24"}},
		"two families": {[]string{"fd00:0:0:1::/64", "10.0.0.0/24", "fd00::/64", "0.0.0.0/8", "::/8"},
			[]string{"0.0.0.0/8", "10.0.0.0/24", "::/8", "fd00::/63"}},
		"all of both":                        {[]string{"0.0.0.0/1", "128.0.0.0/1", "::/0"}, []string{"0.0.0.0/0", "::/0"}},
		"bits of the host, and what is none": {[]string{"10.0.0.7/24", "nonsense", "", "10.0.0.0/33", "::ffff:10.1.0.0/112"}, []string{"10.0.0.0/24"}},
		"as many as fit":                     {sparse(64), sparse(64)},
		"more than fit, with one far away and one of the other family": {append(sparse(128), "192.168.0.0/24", "fd00::/64"),
			append(sparse16(), "192.168.0.0/24", "fd00::/64")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := texts(cover(parse(tt.cidrs))); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// sparse16 is every second /24 of 10.0.0.0/16 covered in pairs, but for the last bit that would be too many.
func sparse16() (out []string) {
	for i := range 32 {
		out = append(out, fmt.Sprintf("10.0.%d.0/21", 8*i))
	}
	return out
}

// TestCoverIsExact holds the prefixes against the addresses, in a space small enough to count them.
func TestCoverIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in []netip.Prefix
		for range rapid.IntRange(0, 300).Draw(t, "prefixes") {
			length := rapid.IntRange(22, 32).Draw(t, "length")
			in = append(in, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(rapid.IntRange(0, 3).Draw(t, "high")),
				byte(rapid.IntRange(0, 255).Draw(t, "low"))}), length))
		}
		got := cover(in)
		if len(got) > record.MaxRanges {
			t.Fatalf("%d prefixes, want at most %d", len(got), record.MaxRanges)
		}
		for i := 1; i < len(got); i++ {
			if got[i-1].Overlaps(got[i]) || got[i-1].Compare(got[i]) > 0 {
				t.Fatalf("%v and %v overlap, or are not in order", got[i-1], got[i])
			}
		}
		exact := len(fewest(in)) <= record.MaxRanges
		for host := range 1024 {
			addr := netip.AddrFrom4([4]byte{10, 0, byte(host >> 8), byte(host)})
			has := func(p netip.Prefix) bool { return p.Contains(addr) }
			was, is := slices.ContainsFunc(in, has), slices.ContainsFunc(got, has)
			if was && !is || exact && is != was {
				t.Fatalf("%v: covered %t, want %t", addr, is, was)
			}
		}
	})
}

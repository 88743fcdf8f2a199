package region

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// TestDirectory: a zone is one while a record names it, and until it has dropped what it holds.
func TestDirectory(t *testing.T) {
	cluster := record.Cluster{Name: "a-1", Region: "west", Zone: "a"}.Record()
	prefix := record.Prefix{Pool: "p", Region: "west", Zone: "a", Prefix: netip.MustParsePrefix("10.0.0.0/24")}.Record()
	own := record.Prefix{Pool: "p", Region: "west", Prefix: netip.MustParsePrefix("10.0.0.0/16")}.Record()
	d := newDirectory("west", nil)
	put := func(r record.Record) func() {
		return func() { d.apply([]store.Change{{Key: r.Key, New: &store.Entry{Record: r}}}) }
	}
	remove := func(r record.Record) func() {
		return func() { d.apply([]store.Change{{Key: r.Key, Old: &store.Entry{Record: r}}}) }
	}
	for _, step := range []struct {
		what        string
		do          func()
		zones, left []string
	}{
		{"a prefix of the region", put(own), nil, nil},
		{"a cluster", put(cluster), []string{"a"}, nil},
		{"a prefix", put(prefix), []string{"a"}, nil},
		{"its cluster goes", remove(cluster), []string{"a"}, nil},
		{"the zone says that it holds something", func() { d.holds("a", true) }, []string{"a"}, nil},
		{"its prefix is taken away", remove(prefix), []string{"a"}, nil},
		{"it says so again", func() { d.holds("a", true) }, []string{"a"}, nil},
		{"it has dropped it", func() { d.holds("a", false) }, nil, []string{"a"}},
		{"it is named again", put(cluster), []string{"a"}, nil},
		{"and goes", remove(cluster), nil, []string{"a"}},
		{"the region's goes", remove(own), nil, nil},
	} {
		step.do()
		left := d.gone()
		if got := d.zones(); !slices.Equal(got, step.zones) || !slices.Equal(left, step.left) {
			t.Fatalf("%s: the zones are %q and %q left, want %q and %q", step.what, got, left, step.zones, step.left)
		}
	}
}

package scope_test

import (
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/scope"
	"github.com/meridian-federation/meridian/internal/store"
)

// tier is a store reduced to what scope sees of it.
type tier struct {
	entries map[record.Key]*store.Entry
	pending []store.Change
}

func (s *tier) put(r record.Record) {
	e := &store.Entry{Record: r}
	s.pending = append(s.pending, store.Change{Key: r.Key, Old: s.entries[r.Key], New: e})
	s.entries[r.Key] = e
}

func (s *tier) remove(key record.Key, cause record.Cause) {
	if s.entries[key] == nil {
		return
	}
	s.pending = append(s.pending, store.Change{Key: key, Old: s.entries[key], Cause: cause})
	delete(s.entries, key)
}

func (s *tier) flush() []store.Change {
	out := s.pending
	s.pending = nil
	return out
}

// wanted computes every child's view from scratch: the oracle.
func (s *tier) wanted() map[string]map[record.Key]record.Version {
	out := map[string]map[record.Key]record.Version{}
	need := func(child string, key record.Key) {
		if out[child] == nil {
			out[child] = map[record.Key]record.Version{}
		}
		if e := s.entries[key]; e != nil {
			out[child][key] = e.Version
		}
	}
	for key, e := range s.entries {
		switch key.Kind {
		case record.KindCluster:
			c, _ := record.DecodeCluster(e.Record)
			need(c.Region, key)
		case record.KindGrant, record.KindPrefix, record.KindClaim:
			if region, _ := key.Place(); region != "" {
				need(region, key)
			}
		case record.KindAssignment:
			a, _ := record.DecodeAssignment(e.Record)
			need(a.Region, key)
			need(a.Region, record.RevisionKey(a.Namespace, a.Application, a.Revision))
			for _, name := range append([]string{record.ServiceName(a.Namespace, a.Application)}, a.Dependencies...) {
				namespace, name, _ := strings.Cut(name, "/")
				need(a.Region, record.ServiceKey(namespace, name))
				need(a.Region, record.AudienceKey(namespace, name))
			}
			need(a.Region, record.PolicyKey(a.Namespace, a.Application))
			for _, l := range s.locations(a.Dependencies) {
				if l.Region != a.Region {
					need(a.Region, l.Record().Key)
					need(a.Region, record.PlaceKey(l.Cluster))
				}
			}
		}
	}
	for key := range s.entries {
		if key.Kind == "tomorrow" || key.Kind == record.KindPool || key == record.GrantKey("global") {
			for child := range out {
				need(child, key)
			}
		}
	}
	return out
}

// locations are those of some applications.
func (s *tier) locations(of []string) []record.Location {
	var out []record.Location
	for key, e := range s.entries {
		if key.Kind != record.KindLocation {
			continue
		}
		if l, _ := record.DecodeLocation(e.Record); slices.Contains(of, record.ServiceName(l.Namespace, l.Application)) {
			out = append(out, l)
		}
	}
	return out
}

// TestIncrementalEqualsFromScratch edits a random graph and compares the views that follow from the edits with those
// computed from nothing, and the order inside each child's edits.
func TestIncrementalEqualsFromScratch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &tier{entries: map[record.Key]*store.Entry{}}
		index := scope.NewIndex(scope.Regions)
		got := map[string]map[record.Key]record.Version{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			for range rapid.IntRange(1, 5).Draw(t, "changes") {
				edit(t, s)
			}
			for child, edits := range index.Apply(s.flush()) {
				follow(t, got, child, edits)
			}
			compare(t, got, s.wanted())
		}
		if n := len(s.wanted()); index.Children() != n {
			t.Fatalf("Children() = %d, want %d", index.Children(), n)
		}
	})
}

// edit makes one random change.
func edit(t *rapid.T, s *tier) {
	region := fmt.Sprint("r", rapid.IntRange(0, 2).Draw(t, "region"))
	app := fmt.Sprint("a", rapid.IntRange(0, 4).Draw(t, "app"))
	spec := record.Revision{Namespace: "n", Application: app,
		Spec: []byte(fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "spec")))}.Record()
	var r record.Record
	switch rapid.IntRange(0, 10).Draw(t, "kind") {
	case 0:
		r = spec
	case 1:
		r = record.Service{Namespace: "n", Application: app, ServiceAccount: region}.Record()
	case 2:
		r = record.Cluster{Name: "c" + app, Region: region, Zone: region + "-a"}.Record()
	case 3:
		var dependencies []string
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, 4), 0, 3, rapid.ID[int]).Draw(t, "dependencies") {
			dependencies = append(dependencies, fmt.Sprint("n/a", i))
		}
		r = record.Assignment{Namespace: "n", Application: app, Zone: region + "-a", Region: region,
			Revision: spec.Version.String(), Dependencies: dependencies}.Record()
	case 4:
		r = record.New(record.Key{Kind: "tomorrow", Name: app}, []byte(region))
	case 5:
		r = record.Policy{Namespace: "n", Application: app, TrustDomain: region}.Record()
	case 6:
		r = record.Audience{Namespace: "n", Application: app, Zones: []string{region}}.Record()
	case 7:
		r = record.Location{Namespace: "n", Application: app, Cluster: fmt.Sprint("c", rapid.IntRange(0, 2).Draw(t, "cluster")),
			Chunk: rapid.SampledFrom([]string{"", "x"}).Draw(t, "chunk"), Region: region, Zone: region + "-a"}.Record()
	case 8:
		r = record.Place{Cluster: fmt.Sprint("c", rapid.IntRange(0, 2).Draw(t, "cluster")), Network: region}.Record()
	case 9:
		r = record.Grant{Path: rapid.SampledFrom([]string{"global", "region/" + region, "region/" + region + "/zone/" + app}).Draw(t, "path"),
			Generation: 1}.Record()
	case 10:
		r = space(t, region)
	}
	if rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
		s.remove(r.Key, record.CausePerson)
		return
	}
	s.put(r)
}

// space makes a record of address space.
func space(t *rapid.T, region string) record.Record {
	prefix := netip.MustParsePrefix("10.0.0.0/16")
	zone := rapid.SampledFrom([]string{"", region + "-a"}).Draw(t, "zone")
	switch rapid.IntRange(0, 4).Draw(t, "space") {
	case 0:
		return record.Pool{Name: region, Ranges: []record.Range{{Prefix: prefix, Draining: zone == ""}}}.Record()
	case 1:
		return record.Prefix{Pool: "p", Region: region, Zone: zone, Prefix: prefix, Draining: rapid.Bool().Draw(t, "draining")}.Record()
	case 2:
		if rapid.Bool().Draw(t, "at Global") {
			region, zone = "", ""
		}
		return record.Claim{Owner: "ipclaim/n/a", Region: region, Zone: zone}.Record()
	case 3:
		return record.Allotment{Owner: "ipclaim/n/a", Region: region, Zone: zone}.Record()
	default:
		return record.Demand{Pool: "p", Region: region, Zone: zone}.Record()
	}
}

func follow(t *rapid.T, views map[string]map[record.Key]record.Version, child string, edits []feed.Edit) {
	if views[child] == nil {
		views[child] = map[record.Key]record.Version{}
	}
	removing := false
	for _, e := range edits {
		if e.Record == nil {
			removing = true
			delete(views[child], e.Key)
			continue
		}
		if removing {
			t.Fatalf("child %s: %s is put after a removal", child, e.Key)
		}
		views[child][e.Key] = e.Record.Version
	}
}

func compare(t *rapid.T, got, want map[string]map[record.Key]record.Version) {
	for child, view := range got {
		if !maps.Equal(view, want[child]) {
			t.Fatalf("child %s holds %v, want %v", child, names(view), names(want[child]))
		}
	}
	for child := range want {
		if len(want[child]) > 0 && got[child] == nil {
			t.Fatalf("child %s holds nothing, want %v", child, names(want[child]))
		}
	}
}

func names(view map[record.Key]record.Version) []string {
	var out []string
	for key := range view {
		out = append(out, key.String())
	}
	slices.Sort(out)
	return out
}

// TestCauses shows which cause each kind of leaving carries.
func TestCauses(t *testing.T) {
	revision := func(spec string) record.Record {
		return record.Revision{Namespace: "n", Application: "a", Spec: []byte(spec)}.Record()
	}
	assignment := func(spec string, dependencies ...string) record.Record {
		return record.Assignment{Namespace: "n", Application: "a", Zone: "z", Region: "r",
			Revision: revision(spec).Version.String(), Dependencies: dependencies}.Record()
	}
	b := record.Service{Namespace: "n", Application: "b"}.Record()
	prefix := record.Prefix{Pool: "p", Region: "r", Zone: "z", Prefix: netip.MustParsePrefix("10.0.0.0/16")}.Record()
	tests := map[string]struct {
		change func(*tier)
		key    record.Key
		want   record.Cause
	}{
		"a person deleted the application": {
			func(s *tier) { s.remove(assignment("1").Key, record.CausePerson) }, revision("1").Key, record.CausePerson},
		"the spec was changed": {
			func(s *tier) { s.put(revision("2")); s.put(assignment("2", "n/b")) }, revision("1").Key, record.CausePerson},
		"a dependency no longer resolves": {
			func(s *tier) { s.put(assignment("1")) }, b.Key, record.CauseScope},
		"the zone left the placement": {
			func(s *tier) { s.remove(assignment("1").Key, record.CauseScope) }, revision("1").Key, record.CauseScope},
		"the record itself was removed": {
			func(s *tier) { s.remove(b.Key, record.CausePerson) }, b.Key, record.CausePerson},
		"a prefix was taken back": {
			func(s *tier) { s.remove(prefix.Key, record.CausePerson) }, prefix.Key, record.CausePerson},
		"a prefix went with nobody to have asked for it": {
			func(s *tier) { s.remove(prefix.Key, record.CauseFound) }, prefix.Key, record.CauseFound},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &tier{entries: map[record.Key]*store.Entry{}}
			index := scope.NewIndex(scope.Zones)
			s.put(revision("1"))
			s.put(b)
			s.put(prefix)
			s.put(assignment("1", "n/b"))
			index.Apply(s.flush())
			tt.change(s)
			edits := index.Apply(s.flush())["z"]
			i := slices.IndexFunc(edits, func(e feed.Edit) bool { return e.Key == tt.key })
			if i < 0 || edits[i].Record != nil {
				t.Fatalf("edits %v do not remove %s", edits, tt.key)
			}
			if got := edits[i].Cause; got != tt.want {
				t.Errorf("%s left with cause %s, want %s", tt.key, got, tt.want)
			}
		})
	}
}

// TestSpaceGoesToWhomItIsFor shows where records of address space go from each tier.
func TestSpaceGoesToWhomItIsFor(t *testing.T) {
	prefix := netip.MustParsePrefix("10.0.0.0/16")
	pool := record.Pool{Name: "p"}.Record()
	toRegion := record.Prefix{Pool: "p", Region: "r", Prefix: prefix}.Record()
	toZone := record.Prefix{Pool: "p", Region: "r", Zone: "z", Prefix: prefix}.Record()
	atGlobal, atZone := record.Claim{Owner: "o"}.Record(), record.Claim{Owner: "o", Region: "r", Zone: "z"}.Record()
	up := []record.Record{record.Allotment{Owner: "o", Region: "r", Zone: "z"}.Record(), record.Demand{Pool: "p", Region: "r", Zone: "z"}.Record()}
	tests := map[string]struct {
		level scope.Level
		store []record.Record
		want  map[string][]record.Record
	}{
		"from Global": {scope.Regions, []record.Record{pool, toRegion, atGlobal, atZone}, map[string][]record.Record{"r": {pool, toRegion, atZone}}},
		"from a region": {scope.Zones, []record.Record{pool, toRegion, toZone, atZone},
			map[string][]record.Record{"z": {pool, toZone, atZone}}},
		"a pool that nobody is for": {scope.Zones, []record.Record{pool, toRegion}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &tier{entries: map[record.Key]*store.Entry{}}
			index := scope.NewIndex(tt.level)
			for _, r := range append(tt.store, up...) {
				s.put(r)
			}
			for child, edits := range index.Apply(s.flush()) {
				if len(edits) != len(tt.want[child]) {
					t.Errorf("child %q is sent %v, want %d records", child, edits, len(tt.want[child]))
				}
			}
			for child, want := range tt.want {
				for _, r := range want {
					if _, holds := index.Holds(child, r.Key); !holds {
						t.Errorf("child %s does not hold %s", child, r.Key)
					}
				}
			}
		})
	}
}

// TestGrantsGoToWhomTheyConcern: each child has the grants of its own place, of those below it, and of its parent.
func TestGrantsGoToWhomTheyConcern(t *testing.T) {
	grant := func(path string) record.Record { return record.Grant{Path: path, Generation: 1}.Record() }
	all := []record.Record{grant("global"), grant("region/r"), grant("region/r/zone/z"), grant("region/r/zone/z/cluster/c")}
	for name, tt := range map[string]struct {
		level scope.Level
		child string
		want  []record.Record
	}{
		"from Global":   {scope.Regions, "r", all},
		"from a region": {scope.Zones, "z", all[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			s := &tier{entries: map[record.Key]*store.Entry{}}
			index := scope.NewIndex(tt.level)
			for _, r := range all {
				s.put(r)
			}
			edits := index.Apply(s.flush())
			if len(edits) != 1 || len(edits[tt.child]) != len(tt.want) {
				t.Errorf("sent %v, want %d grants to %s alone", edits, len(tt.want), tt.child)
			}
			for _, r := range tt.want {
				if _, holds := index.Holds(tt.child, r.Key); !holds {
					t.Errorf("child %s does not hold %s", tt.child, r.Key)
				}
			}
		})
	}
}

// BenchmarkChange changes one service record among n records of applications that do not use it.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			s := &tier{entries: map[record.Key]*store.Entry{}}
			index := scope.NewIndex(scope.Regions)
			for i := range n / 2 {
				app := fmt.Sprint("a", i)
				s.put(record.Service{Namespace: "n", Application: app}.Record())
				s.put(record.Assignment{Namespace: "n", Application: app, Zone: "z", Region: fmt.Sprint("r", i%10),
					Dependencies: []string{fmt.Sprint("n/a", i/2)}}.Record())
			}
			index.Apply(s.flush())
			versions := [2]record.Record{}
			for i := range versions {
				versions[i] = record.Service{Namespace: "n", Application: "a7", ServiceAccount: fmt.Sprint(i)}.Record()
			}
			runtime.GC()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				s.put(versions[i%2])
				index.Apply(s.flush())
			}
		})
	}
}

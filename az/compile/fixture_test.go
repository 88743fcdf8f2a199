package compile_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/graphtest"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// staleAfter is how long places of the tests may be stale; epoch is when the tests are.
const staleAfter = time.Minute

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// failer is what *testing.T, *testing.B and *rapid.T can do.
type failer interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Helper()
}

// zone is a zone's records, a compiler of some of its clusters, and what these hold by the edits alone.
type zone struct {
	t        failer
	name     string
	store    *graphtest.Store
	compiler *compile.Compiler
	now      time.Time
	held     map[string]held
	apps     map[string]map[string]compile.Application
	// mute: what the clusters make of objects is not heard.
	mute bool
}

// held is a cluster's objects as edits built them up.
type held map[record.Key]*record.Record

func newZone(t failer, name string) *zone {
	t.Helper()
	s, err := graphtest.NewStore()
	if err != nil {
		t.Fatal(err)
	}
	return &zone{t: t, name: name, store: s, now: epoch, held: map[string]held{}, apps: map[string]map[string]compile.Application{},
		compiler: compile.New(compile.Config{Zone: name, StaleAfter: staleAfter})}
}

// startZone makes a zone that holds a world and owns clusters.
func startZone(t failer, w *graphtest.World, name string, clusters ...string) *zone {
	t.Helper()
	z := newZone(t, name)
	z.set(w)
	z.own(clusters...)
	return z
}

// set brings the zone's store to what follows from a world, and returns the edits by cluster.
func (z *zone) set(w *graphtest.World) map[string]*compile.Shift {
	z.t.Helper()
	u, err := z.store.Set(context.Background(), w.Zone(z.name))
	if err != nil {
		z.t.Fatal(err)
	}
	return z.follow(z.compiler.Apply(u, z.now))
}

func (z *zone) write(writes ...store.Write) map[string]*compile.Shift {
	z.t.Helper()
	u, err := z.store.Write(context.Background(), writes...)
	if err != nil {
		z.t.Fatal(err)
	}
	return z.follow(z.compiler.Apply(u, z.now))
}

func (z *zone) own(clusters ...string) map[string]*compile.Shift {
	z.t.Helper()
	for _, c := range clusters {
		z.held[c], z.apps[c] = held{}, map[string]compile.Application{}
	}
	return z.follow(z.compiler.Own(clusters...))
}

func (z *zone) disown(cluster string) {
	z.compiler.Disown(cluster)
	delete(z.held, cluster)
	delete(z.apps, cluster)
}

// follow builds up what the edits come to, and holds them against the order of application and against edits of nothing.
func (z *zone) follow(shifts map[string]*compile.Shift) map[string]*compile.Shift {
	z.t.Helper()
	for cluster, s := range shifts {
		h := z.held[cluster]
		if h == nil {
			z.t.Fatalf("cluster %s has edits and is not owned", cluster)
		}
		removing, rank := false, -1
		for _, e := range s.Edits {
			was, r := h[e.Key], object.Rank(e.Key)
			switch {
			case e.Record == nil && was == nil:
				z.t.Fatalf("cluster %s: %s is removed and was not there", cluster, e.Key)
			case e.Record == nil && removing && r > rank:
				z.t.Fatalf("cluster %s: %s is removed after what it refers to", cluster, e.Key)
			case e.Record != nil && (removing || r < rank):
				z.t.Fatalf("cluster %s: %s is put too late", cluster, e.Key)
			case e.Record != nil && was != nil && was.Version == e.Record.Version:
				z.t.Fatalf("cluster %s: %s is put again as it was", cluster, e.Key)
			}
			rank = r
			if e.Record == nil {
				removing = true
				delete(h, e.Key)
			} else {
				h[e.Key] = e.Record
			}
		}
		for _, a := range s.Applications {
			z.apps[cluster][a.Name()] = a
		}
		for _, name := range s.Gone {
			delete(z.apps[cluster], name)
		}
	}
	if !z.mute {
		z.echo(shifts)
	}
	return shifts
}

// echo has the clusters take in what is awaited.
func (z *zone) echo(shifts map[string]*compile.Shift) {
	z.t.Helper()
	var echoes []compile.Echo
	for cluster, s := range shifts {
		for _, e := range s.Edits {
			if !slices.Contains(s.Awaits, e.Key) {
				continue
			}
			echo := compile.Echo{Cluster: cluster, Key: e.Key}
			if e.Record != nil {
				echo.Version = e.Record.Version
			}
			echoes = append(echoes, echo)
		}
	}
	if len(echoes) > 0 {
		z.follow(z.compiler.Hear(echoes))
	}
}

// scratch compiles the zone's records of the moment from nothing, for the clusters that are owned.
func (z *zone) scratch() (all map[string]*compile.Shift, compiler *compile.Compiler) {
	c := compile.New(compile.Config{Zone: z.name, StaleAfter: staleAfter})
	var changes []store.Change
	for e := range z.store.Snapshot().Entries() {
		changes = append(changes, store.Change{Key: e.Key, New: e})
	}
	c.Apply(store.Update{New: z.store.Snapshot(), Delta: store.Delta{Changes: changes}}, z.now)
	return c.Own(slices.Sorted(maps.Keys(z.held))...), c
}

// compareHeld holds what edits built up against what was compiled from scratch.
func compareHeld(t failer, cluster string, got held, scratch *compile.Shift) {
	t.Helper()
	want := held{}
	for _, e := range scratch.Edits {
		want[e.Key] = e.Record
	}
	for key, r := range want {
		if got[key] == nil {
			t.Fatalf("cluster %s lacks %s", cluster, key)
		}
		if !bytes.Equal(got[key].Content, r.Content) {
			t.Fatalf("cluster %s: %s:\n got %s\nwant %s", cluster, key, got[key].Content, r.Content)
		}
	}
	for key := range got {
		if want[key] == nil {
			t.Fatalf("cluster %s has %s, which nothing asks for", cluster, key)
		}
	}
}

// changes lists a shift's edits as text: +KIND NAMESPACE/NAME, -KIND NAMESPACE/NAME (CAUSE).
func changes(s *compile.Shift) []string {
	var out []string
	if s == nil {
		return nil
	}
	for _, e := range s.Edits {
		id, _ := object.FromKey(e.Key)
		if e.Record == nil {
			out = append(out, "-"+id.Short()+" ("+e.Cause.String()+")")
		} else {
			out = append(out, "+"+id.Short())
		}
	}
	return out
}

func put(r record.Record) store.Write { return store.Write{Record: r} }

func drop(key record.Key, cause record.Cause) store.Write {
	return store.Write{Record: record.Record{Key: key}, Delete: true, Cause: cause}
}

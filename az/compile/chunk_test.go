package compile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/graphtest"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// nearby has n/web in c1 call o/cart, which is in near: another zone's cluster on the network of c1.
func nearby() (w *graphtest.World, cart *graphtest.Application) {
	w = newWorld()
	near := graphtest.Cluster("near", "y", "west", "n1")
	w.Clusters[near.Name] = near
	runs(w, "n/web", []string{"c1"}, "o/cart")
	cart = runs(w, "o/cart", []string{"near"})
	w.Allow()
	return w, cart
}

// TestBrokenAddress has one pod of 250 with an address that no host has: all others are called, and the caller is told, until
// it is mended or gone.
func TestBrokenAddress(t *testing.T) {
	w, cart := nearby()
	cart.Ready["near"] = 250
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	key := record.LocationKey("o", "cart", "near", "cart-1")
	fresh := find(w, key)
	location, err := record.DecodeLocation(fresh)
	if err != nil {
		t.Fatal(err)
	}
	location.Endpoints[7].Address = "pod.example.com"
	for _, s := range []struct {
		name    string
		write   store.Write
		changed []string
		reasons []string
	}{
		{"broken", put(location.Record()), []string{"+ServiceEntry"}, []string{mesh.ReasonAddressInvalid}},
		{"mended", put(fresh), []string{"+ServiceEntry"}, nil},
		{"broken again", put(location.Record()), []string{"+ServiceEntry"}, []string{mesh.ReasonAddressInvalid}},
		{"gone", drop(key, record.CausePerson), []string{"-ServiceEntry"}, nil},
	} {
		if got := strings.Fields(short(changes(z.write(s.write)["c1"]))); !slices.Equal(got, s.changed) {
			t.Errorf("%s: c1 has changed %q, want %q", s.name, got, s.changed)
		}
		var got []string
		for _, p := range z.apps["c1"]["n/web"].Problems {
			got = append(got, p.Reason)
		}
		if !slices.Equal(got, s.reasons) {
			t.Errorf("%s: web is told of %q, want %q", s.name, got, s.reasons)
		}
	}
}

// TestManyBrokenChunks has more chunks with broken addresses than a status has problems: the caller is told of the first.
func TestManyBrokenChunks(t *testing.T) {
	w, cart := nearby()
	cart.Ready["near"] = 12 * record.MaxEndpoints
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	var writes []store.Write
	for i := range 12 {
		l, err := record.DecodeLocation(find(w, record.LocationKey("o", "cart", "near", fmt.Sprintf("cart-%d", i))))
		if err != nil {
			t.Fatal(err)
		}
		l.Endpoints[0].Address = ""
		writes = append(writes, put(l.Record()))
	}
	z.write(writes...)
	if got := len(z.apps["c1"]["n/web"].Problems); got != record.MaxProblems {
		t.Errorf("web is told of %d problems, want the first %d", got, record.MaxProblems)
	}
	scratch, _ := z.scratch()
	compareHeld(t, "c1", z.held["c1"], scratch["c1"])
}

// BenchmarkChangeChunk has one pod's address change among those of n pods of a called application.
func BenchmarkChangeChunk(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("addresses=%d", n), func(b *testing.B) {
			w, _ := nearby()
			z := startZone(b, w, "z", "c1")
			defer z.store.Close()
			var writes []store.Write
			for i := range n / record.MaxEndpoints {
				writes = append(writes, put(chunkOf(i, 0)))
			}
			z.write(writes...)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				b.StopTimer()
				i++
				u, err := z.store.Write(b.Context(), put(chunkOf(n/record.MaxEndpoints/2, i%2)))
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if s := z.compiler.Apply(u, epoch)["c1"]; len(s.Edits) != 1 {
					b.Fatalf("%d objects changed, want one", len(s.Edits))
				}
			}
		})
	}
}

// chunkOf is the full chunk of a number; its last address has two states.
func chunkOf(number, state int) record.Record {
	l := record.Location{Namespace: "o", Application: "cart", Cluster: "near", Zone: "y", Region: "west", Chunk: fmt.Sprintf("cart-%d", number)}
	for i := range record.MaxEndpoints {
		l.Endpoints = append(l.Endpoints, record.Endpoint{Address: fmt.Sprintf("10.%d.%d.%d", number/250, number%250, i+1)})
	}
	l.Endpoints[record.MaxEndpoints-1].Address = fmt.Sprintf("10.%d.%d.%d", number/250, number%250, 200+state)
	return l.Record()
}

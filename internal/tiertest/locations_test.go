package tiertest_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// calls starts a chain in which n/web of zone b depends on n/cart of zone a, on other networks; consumers of n/cart are in
// further zones, too.
func calls(t testing.TB, open func(string) store.Store, further ...string) *chain {
	t.Helper()
	c := newChain(t, open)
	for name, zone := range map[string]string{"a-1": "a", "a-2": "a", "b-1": "b"} {
		c.parent.Put(record.Cluster{Name: name, Region: "west", Zone: zone, Environments: []string{"prod"}, Network: "net-" + name,
			Mesh: record.Mesh{Dataplane: "Sidecar", RootNamespace: "istio-system", Gateway: record.Gateway{
				Addresses: []string{"192.0.2." + name[len(name)-1:]}, Namespace: "istio-system", Selector: map[string]string{"istio": "eastwest"}}}}.Record())
	}
	service := record.Service{Namespace: "n", Application: "cart", Environment: "prod", ServiceAccount: "cart",
		Ports: []record.Port{{Name: "http", Port: 80, TargetPort: 80, Protocol: "TCP", AppProtocol: "http"}}}.Record()
	audience := record.Audience{Namespace: "n", Application: "cart", Namespaces: []string{"n"}, Zones: append([]string{"b"}, further...),
		Networks: []string{"net-b-1"}}.Record()
	edits := append(runs("cart", "a"), runs("web", "b", "n/cart")...)
	c.parent.Edit(append(edits, feed.Put(&service), feed.Put(&audience))...)
	c.ready(t, 2)
	c.parent.AwaitStatus(t, "n/cart", "cart is ready", ready(2))
	c.parent.AwaitStatus(t, "n/web", "web is ready", ready(1))
	c.awaitWeight(t, 2)
	return c
}

// runs are what Global would send for an application in one zone.
func runs(name, zone string, dependencies ...string) []feed.Edit {
	var out []feed.Edit
	for _, e := range edits(name, name+":1") {
		if e.Key.Kind != record.KindAssignment {
			out = append(out, e)
			continue
		}
		a, err := record.DecodeAssignment(*e.Record)
		if err == nil && a.Zone == zone {
			a.Generation, a.Dependencies = mesh.Generation, dependencies
			r := a.Record()
			out = append(out, feed.Put(&r))
		}
	}
	return out
}

// ready has the agent of a-1 say how many endpoints of n/cart are.
func (c *chain) ready(t testing.TB, endpoints int32) {
	t.Helper()
	l := record.Location{Namespace: "n", Application: "cart", Cluster: "a-1"}
	if endpoints > 0 {
		l.Ready = []record.Ready{{Endpoints: endpoints}}
	}
	r := l.Record()
	c.agents["a-1"].Outbox.Edit(feed.Put(&r))
}

// weight is that of the entry for the gateway of a-1 in b-1; 0 where there is none.
func weight(t testing.TB, held map[record.Key]record.Record) int {
	t.Helper()
	for key, r := range held {
		if !strings.Contains(key.Name, "WorkloadEntry") {
			continue
		}
		var entry struct {
			Spec struct {
				Address string
				Weight  int
			}
		}
		if err := json.Unmarshal(r.Content, &entry); err != nil {
			t.Fatal(err)
		}
		if entry.Spec.Address == "192.0.2.1" {
			return entry.Spec.Weight
		}
	}
	return 0
}

func (c *chain) awaitWeight(t testing.TB, want int) {
	t.Helper()
	c.agents["b-1"].Await(t, "the weight in the other zone's cluster", func(held map[record.Key]record.Record) bool {
		return weight(t, held) == want
	})
}

// awaitPlace waits until Global is told that a-1 is stale, or that it is not, with n/cart there.
func (c *chain) awaitPlace(t *testing.T, stale bool) {
	t.Helper()
	c.parent.Await(t, "the place of a-1", func(reports map[record.Key]record.Record) bool {
		r, placed := reports[record.PlaceKey("a-1")]
		_, located := reports[record.LocationKey("n", "cart", "a-1", "")]
		if !placed || !located {
			return false
		}
		p, err := record.DecodePlace(r)
		return err == nil && p.StaleSince.IsZero() != stale
	})
}

// TestLocationInRegion shows that a count goes from zone to zone of a region without Global, to none and back, and changes one
// object for each write of the caller's cluster; and that Global is not told of what nobody outside the region depends on.
func TestLocationInRegion(t *testing.T) {
	c := calls(t, inMemory)
	c.parent.Stop()
	writes := c.agents["b-1"].Writes()
	for _, ready := range []int32{3, 0, 1} {
		c.ready(t, ready)
		c.awaitWeight(t, int(ready))
	}
	if got := c.agents["b-1"].Writes() - writes; got != 3 {
		t.Errorf("three changes of a count wrote %d objects in the caller's cluster, want 3", got)
	}
	c.parent.Start(t)
	c.parent.AwaitSession(t, "the region has told all", func(s feed.Status) bool { return s.Heard })
	c.parent.Await(t, "Global knows that nothing is there", func(reports map[record.Key]record.Record) bool {
		_, placed := reports[record.PlaceKey("a-1")]
		_, located := reports[record.LocationKey("n", "cart", "a-1", "")]
		return placed && !located
	})
}

// TestLocationSurvives shows that nothing is withdrawn when zone and region are lost and come back without each other, that
// Global is told which places are stale, and that what changed meanwhile arrives when all are back.
func TestLocationSurvives(t *testing.T) {
	c := calls(t, inMemory, "far")
	c.awaitPlace(t, false)
	c.stop["a"]()
	c.awaitPlace(t, true)
	c.restart["region"]()
	c.parent.AwaitSession(t, "the region has told all", func(s feed.Status) bool { return s.Heard })
	c.awaitPlace(t, true)
	c.awaitWeight(t, 2)
	c.ready(t, 5)
	c.restart["a"]()
	c.awaitPlace(t, false)
	c.awaitWeight(t, 5)
}

// TestLocationElsewhere shows that what is in another region arrives by Global, that a late copy does not overwrite it, and
// that it goes when Global says so.
func TestLocationElsewhere(t *testing.T) {
	c := calls(t, inMemory)
	at := func(sequence uint64, endpoints int32) record.Record {
		return record.Location{Namespace: "n", Application: "cart", Cluster: "x-1", Zone: "x", Region: "east", Epoch: 3,
			Sequence: sequence, Ready: []record.Ready{{Endpoints: endpoints}}}.Record()
	}
	far := func(want int) {
		t.Helper()
		c.agents["b-1"].Await(t, "the weight of the other region's gateway", func(held map[record.Key]record.Record) bool {
			for key, r := range held {
				if strings.Contains(key.Name, "WorkloadEntry") && strings.Contains(string(r.Content), "198.51.100.1") {
					return strings.Contains(string(r.Content), `"weight":`+string(rune('0'+want)))
				}
			}
			return want == 0
		})
	}
	c.parent.Put(record.Place{Cluster: "x-1", Region: "east", Zone: "x", Network: "net-x-1", Gateways: []string{"198.51.100.1"},
		Primary: "x-1"}.Record(), at(7, 4))
	far(4)
	c.parent.Put(at(6, 9))
	key := record.LocationKey("n", "cart", "x-1", "")
	c.parent.AwaitOutcome(t, key, "the late copy is refused", func(o feed.Outcome) bool { return o.Rejection != nil })
	far(4)
	c.parent.Put(at(8, 5))
	far(5)
	c.parent.Edit(feed.Remove(key, record.CausePerson), feed.Remove(record.PlaceKey("x-1"), record.CausePerson))
	far(0)
	c.awaitWeight(t, 2)
}

// BenchmarkLocation is the time from an agent's word that a place has no pods, and that it has some again, until the cluster of
// a caller in another zone has been told so, on etcd with fsync.
func BenchmarkLocation(b *testing.B) {
	c := calls(b, onEtcd(b))
	var gone, back []time.Duration
	for b.Loop() {
		for _, ready := range []int32{0, 2} {
			began := time.Now()
			c.ready(b, ready)
			c.awaitWeight(b, int(ready))
			if ready == 0 {
				gone = append(gone, time.Since(began))
			} else {
				back = append(back, time.Since(began))
			}
		}
	}
	for unit, times := range map[string][]time.Duration{"gone-p50-ms": gone, "back-p50-ms": back} {
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, unit)
	}
}

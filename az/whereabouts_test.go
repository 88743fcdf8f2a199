package az

import (
	"reflect"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// owner is a replica that owns cluster c1 and does not lead.
type owner struct {
	*board
	id string
}

func newOwner(id string, fence int64) owner {
	b := newBoard("a", "west", time.Minute)
	b.add("c1", feed.Fence{Epoch: 1, Fence: fence})
	return owner{b, id}
}

// hear has the leader take all that the replica's outbox holds, in the order of keys: health before locations.
func (o owner) hear(l *leader, removals ...feed.Removal) {
	batch := feed.Batch{Removals: removals}
	for _, kv := range o.outbox.Keys() {
		r, _ := o.outbox.Get(kv.Key)
		batch.Puts = append(batch.Puts, r)
	}
	for _, rejected := range l.take(o.id, batch) {
		l.t.Errorf("rejected: %+v", rejected)
	}
}

// agent is what the agent of c1 tells its owner.
func (o owner) agent(puts []record.Location, removals ...record.Key) {
	var batch feed.Batch
	for _, p := range puts {
		r := p.Record()
		batch.Puts = append(batch.Puts, &r)
	}
	for _, key := range removals {
		batch.Removals = append(batch.Removals, feed.Removal{Key: key})
	}
	o.take("c1", batch)
}

// TestLocationsThroughOwners takes a cluster's locations to the leader through one owner after another: what the last one was
// told stands until the agent has told its new owner all.
func TestLocationsThroughOwners(t *testing.T) {
	l := newLeader(t)
	l.write(record.Audience{Namespace: "n", Application: "cart", Zones: []string{"b"}}.Record(), false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = l.locations.Run(t.Context(), l.writer)
	}()
	t.Cleanup(func() { <-done })
	counts := record.Location{Namespace: "n", Application: "cart", Cluster: "c1", Ready: []record.Ready{{Endpoints: 2}}}
	chunk := record.Location{Namespace: "n", Application: "cart", Cluster: "c1", Chunk: "x1", Endpoints: []record.Endpoint{{Address: "10.0.0.1"}}}
	stored := func(what string, want record.Location, there bool) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for {
			e, ok := l.mirror.Snapshot().Get(want.Record().Key)
			if ok == there {
				if !there {
					return
				}
				if got, err := record.DecodeLocation(e.Record); err == nil && got.Total() == want.Total() {
					return
				}
			}
			select {
			case <-deadline:
				t.Fatalf("waited in vain until %s", what)
			case <-time.After(time.Millisecond):
			}
		}
	}
	first := newOwner("r1", 7)
	first.session("c1", true)
	first.agent([]record.Location{counts, chunk})
	first.state("c1", feed.Status{InSync: true, Heard: true})
	first.hear(l)
	stored("the counts are stored", counts, true)
	stored("the addresses are stored", chunk, true)

	second := newOwner("r2", 8)
	second.session("c1", true)
	first.release("c1")
	first.hear(l, feed.Removal{Key: record.LocatedKey("c1", "n/cart", "x1"), Cause: record.CauseScope})
	counts.Ready[0].Endpoints = 3
	second.agent([]record.Location{counts})
	second.hear(l)
	stored("the new owner's count is stored", counts, true)
	if _, ok := l.mirror.Snapshot().Get(chunk.Record().Key); !ok {
		t.Error("addresses that the new owner has not been told of are gone before it has been told all")
	}
	second.state("c1", feed.Status{InSync: true, Heard: true})
	second.hear(l)
	stored("addresses that are not told any more are gone", chunk, false)

	second.agent(nil, counts.Record().Key)
	second.hear(l, feed.Removal{Key: record.LocatedKey("c1", "n/cart", ""), Cause: record.CausePerson})
	stored("the Service is gone", counts, false)
}

// TestPlaceOf shows what others are told of where a cluster is.
func TestPlaceOf(t *testing.T) {
	tests := map[string]struct {
		mesh record.Mesh
		want record.Place
	}{
		"an istiod of its own": {record.Mesh{Dataplane: "Sidecar", Gateway: record.Gateway{Addresses: []string{"192.0.2.1"}}},
			record.Place{Primary: "c1", Gateways: []string{"192.0.2.1"}}},
		"another's": {record.Mesh{Primary: "c2"}, record.Place{Primary: "c2"}},
		"no mesh":   {record.Mesh{Dataplane: "None"}, record.Place{Primary: "c1", Meshless: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.want.Cluster, tt.want.Zone, tt.want.Region, tt.want.Network = "c1", "a", "west", "blue"
			if got := placeOf(record.Cluster{Name: "c1", Zone: "a", Region: "west", Network: "blue", Mesh: tt.mesh}); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("the place is %+v, want %+v", got, tt.want)
			}
		})
	}
}

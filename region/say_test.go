package region_test

import (
	"net/netip"
	"testing"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestWhatAZoneMayTell has zone a tell what is its own, and what is zone b's: the region's word on zone b is zone b's alone.
func TestWhatAZoneMayTell(t *testing.T) {
	tests := map[string]struct {
		record record.Record
		want   string // the reason of the rejection; empty is none
	}{
		"how an application stands": {record.Status{Namespace: "n", Application: "cart"}.Record(), ""},
		"a problem of its own": {record.Status{Namespace: "n", Application: "sick",
			Problems: []record.Problem{{Zone: "a", Cluster: "a-1"}}}.Record(), ""},
		"a problem in another zone": {record.Status{Namespace: "n", Application: "ill",
			Problems: []record.Problem{{Zone: "b"}}}.Record(), feed.ReasonNotYours},
		"a problem in another zone's cluster": {record.Status{Namespace: "n", Application: "bad",
			Problems: []record.Problem{{Zone: "a", Cluster: "b-1"}}}.Record(), feed.ReasonNotYours},
		"its own cluster's health":      {record.Health{Cluster: "a-1", Nodes: 1}.Record(), ""},
		"an unknown cluster's health":   {record.Health{Cluster: "c-1", Nodes: 1}.Record(), ""},
		"another zone's health":         {record.Health{Cluster: "b-1", Nodes: 99}.Record(), feed.ReasonNotYours},
		"where its own cluster is":      {record.Place{Cluster: "a-1", Region: "west", Zone: "a"}.Record(), ""},
		"where another's cluster is":    {record.Place{Cluster: "b-1", Region: "west", Zone: "b"}.Record(), feed.ReasonNotYours},
		"where an application is":       {location("a-1", "a"), ""},
		"where it is in another's":      {location("b-1", "b"), feed.ReasonNotYours},
		"a location of another zone":    {location("a-1", "b"), feed.ReasonNotYours},
		"a place of another region":     {record.Place{Cluster: "a-1", Region: "east", Zone: "a"}.Record(), feed.ReasonNotYours},
		"what it wants of a pool":       {record.Demand{Pool: "p", Region: "west", Zone: "a", Want: 1}.Record(), ""},
		"what became of a claim for it": {record.Allotment{Owner: "o", Region: "west", Zone: "a"}.Record(), ""},
		"what another zone wants":       {record.Demand{Pool: "p", Region: "west", Zone: "b", Want: 1}.Record(), feed.ReasonNotYours},
		"what the region wants":         {record.Demand{Pool: "p", Region: "west", Want: 1}.Record(), feed.ReasonNotYours},
		"what a zone of the name wants elsewhere": {record.Demand{Pool: "p", Region: "east", Zone: "a", Want: 1}.Record(),
			feed.ReasonNotYours},
		"what became of another zone's claim": {record.Allotment{Owner: "o", Region: "west", Zone: "b"}.Record(), feed.ReasonNotYours},
		"what became of Global's claim":       {record.Allotment{Owner: "o"}.Record(), feed.ReasonNotYours},
		"a claim":                             {record.Claim{Owner: "o", Region: "west", Zone: "a"}.Record(), feed.ReasonNotYours},
		"a pool":                              {record.Pool{Name: "p"}.Record(), feed.ReasonNotYours},
		"a prefix for itself": {record.Prefix{Pool: "p", Region: "west", Zone: "a",
			Prefix: netip.MustParsePrefix("10.0.0.0/8")}.Record(), feed.ReasonNotYours},
		"a demand of nowhere":          {record.New(record.Key{Kind: record.KindDemand, Name: "x"}, nil), feed.ReasonNotYours},
		"a demand that cannot be read": {record.New(record.DemandKey("west", "a", "p"), []byte{0xff}), "InvalidRecord"},
		"a standing":                   {record.Standing{Cluster: "a-1", Health: &record.Health{Cluster: "a-1"}}.Record(), feed.ReasonNotYours},
		"a cluster of the inventory":   {record.Cluster{Name: "a-1", Region: "west", Zone: "a"}.Record(), feed.ReasonNotYours},
		"a grant":                      {record.Grant{Path: "region/west/zone/a", Generation: 9}.Record(), feed.ReasonNotYours},
		"an assignment":                {assignment("cart", "a"), feed.ReasonNotYours},
		"a kind that nobody knows":     {record.New(record.Key{Kind: "tomorrow", Name: "x"}, []byte("content")), feed.ReasonNotYours},
		"a status that cannot be read": {record.New(record.StatusKey("n", "cart"), []byte{0xff}), "InvalidRecord"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newTier(t)
			r.parent.Await(t, "zone b's cluster is told of", func(map[record.Key]record.Record) bool { return r.zones["b"].Connected() })
			health := record.Health{Cluster: "b-1", Nodes: 3}.Record()
			r.zones["b"].Outbox.Edit(feed.Put(&health))
			if got := r.zones["b"].AwaitOutcome(t, health.Key); got != nil {
				t.Fatalf("zone b's own word: got %v, want it taken", got)
			}
			r.zones["a"].Outbox.Edit(feed.Put(&tt.record))
			got := r.zones["a"].AwaitOutcome(t, tt.record.Key)
			if (got != nil) != (tt.want != "") || got != nil && got.Reason != tt.want {
				t.Errorf("%s: got %+v, want %q", tt.record.Key, got, tt.want)
			}
			events := r.audit.Events(audit.PeerRefused)
			if tt.want != feed.ReasonNotYours {
				if len(events) > 0 {
					t.Errorf("audited: %+v, want nothing", events)
				}
			} else if len(events) != 1 || events[0].Actor != "region/west/zone/a" || events[0].Subject != tt.record.Key.String() ||
				events[0].Result != audit.Refused {
				t.Errorf("audited: %+v, want that zone a was refused", events)
			}
			b := record.HealthKey("b-1")
			r.parent.Await(t, "zone b's word stands", func(reports map[record.Key]record.Record) bool {
				h, err := record.DecodeHealth(reports[b])
				return err == nil && h.Nodes == 3 && h.Zone == "b"
			})
		})
	}
}

func location(cluster, zone string) record.Record {
	return record.Location{Namespace: "n", Application: "cart", Cluster: cluster, Region: "west", Zone: zone,
		Ready: []record.Ready{{Endpoints: 1}}}.Record()
}

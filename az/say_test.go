package az_test

import (
	"testing"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestWhatAnAgentMayTell has the agent of cluster c1 tell what is its own, and what is not.
func TestWhatAnAgentMayTell(t *testing.T) {
	at := func(cluster string) record.Record {
		return record.Location{Namespace: "n", Application: "web", Cluster: cluster, Ready: []record.Ready{{Endpoints: 1}}}.Record()
	}
	tests := map[string]struct {
		record record.Record
		want   string // the reason of the rejection; empty is none
	}{
		"how an application stands":     {record.Status{Namespace: "n", Application: "web"}.Record(), ""},
		"the health of its cluster":     {record.Health{Cluster: "c1", Nodes: 11}.Record(), ""},
		"the health of another":         {record.Health{Cluster: "c2", Nodes: 99}.Record(), feed.ReasonNotYours},
		"where an application is":       {at("c1"), ""},
		"where it is in another":        {at("c2"), feed.ReasonNotYours},
		"how its cluster is reached":    {record.Place{Cluster: "c1", Region: "west", Zone: "a"}.Record(), feed.ReasonNotYours},
		"a replica's standing":          {record.Standing{Cluster: "c1", Epoch: 1 << 60, Fence: 1 << 60, Health: &record.Health{}}.Record(), feed.ReasonNotYours},
		"a binding":                     {record.Binding{Namespace: "n", Application: "web", Cluster: "c1"}.Record(), feed.ReasonNotYours},
		"an object":                     {record.New(record.Key{Kind: record.KindObject, Name: "apps/v1/Deployment/n/web"}, []byte("{}")), feed.ReasonNotYours},
		"a grant":                       {record.Grant{Path: "region/west/zone/a/cluster/c1"}.Record(), feed.ReasonNotYours},
		"what the zone wants of a pool": {record.Demand{Pool: "p", Region: "west", Zone: "a"}.Record(), feed.ReasonNotYours},
		"what became of a claim":        {record.Allotment{Owner: "cluster/c1/pods", Region: "west", Zone: "a"}.Record(), feed.ReasonNotYours},
		"a claim for its cluster":       {record.Claim{Owner: "cluster/c1/pods", Region: "west", Zone: "a"}.Record(), feed.ReasonNotYours},
		"a kind that nobody knows":      {record.New(record.Key{Kind: "tomorrow", Name: "c1"}, []byte("content")), feed.ReasonNotYours},
		"a status that cannot be read":  {record.New(record.StatusKey("n", "web"), []byte{0xff}), "InvalidRecord"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			z := newZone(t, "c1", "c2")
			sound := record.HealthKey("c2")
			z.parent.Await(t, "the other cluster is told of", func(reports map[record.Key]record.Record) bool {
				h, err := record.DecodeHealth(reports[sound])
				return err == nil && h.Nodes == 10
			})
			z.agents["c1"].Outbox.Edit(feed.Put(&tt.record))
			got := z.agents["c1"].AwaitOutcome(t, tt.record.Key)
			if (got != nil) != (tt.want != "") || got != nil && got.Reason != tt.want {
				t.Errorf("%s: got %+v, want %q", tt.record.Key, got, tt.want)
			}
			events := z.audit.Events(audit.PeerRefused)
			if tt.want != feed.ReasonNotYours {
				if len(events) > 0 {
					t.Errorf("audited: %+v, want nothing", events)
				}
			} else if len(events) != 1 || events[0].Actor != "region/west/zone/a/cluster/c1" ||
				events[0].Subject != tt.record.Key.String() || events[0].Result != audit.Refused {
				t.Errorf("audited: %+v, want that the agent was refused", events)
			}
			z.parent.Await(t, "the word on the other cluster stands", func(reports map[record.Key]record.Record) bool {
				h, err := record.DecodeHealth(reports[sound])
				return err == nil && h.Nodes == 10 && h.Connected
			})
		})
	}
}

// TestReplicaThatTellsWhatItMayNot has a replica tell what an agent would.
func TestReplicaThatTellsWhatItMayNot(t *testing.T) {
	z := newZone(t, "c1")
	other := z.replica("other")
	health := record.Health{Cluster: "c1", Nodes: 99}.Record()
	other.Outbox.Edit(feed.Put(&health))
	other.Start()
	if got := other.AwaitOutcome(t, health.Key); got == nil || got.Reason != feed.ReasonNotYours {
		t.Errorf("got %+v, want it refused as not a replica's", got)
	}
	if events := z.audit.Events(audit.PeerRefused); len(events) != 1 || events[0].Actor != "region/west/zone/a/replica/other" {
		t.Errorf("audited: %+v, want that the replica was refused", events)
	}
}

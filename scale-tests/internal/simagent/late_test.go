package simagent

import (
	"slices"
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestLate holds what becomes of a refused write when its time has come.
func TestLate(t *testing.T) {
	key := record.Key{Kind: record.KindObject, Name: "apps/v1/Deployment/load/a"}
	refused, newer := record.New(key, []byte(`{"image":"a:1"}`)), record.New(key, []byte(`{"image":"a:2"}`))
	fence := feed.Fence{Epoch: 1, Fence: 5}
	for name, c := range map[string]struct {
		offered record.Version // zero is that the key was removed
		holds   bool           // the cluster has what was refused
		told    bool           // the ledger knows of the refusal
		done    bool
		writes  int
	}{
		"as refused":             {refused.Version, false, true, true, 1},
		"something newer":        {newer.Version, false, true, true, 0},
		"removed":                {record.Version{}, false, true, true, 0},
		"written since":          {refused.Version, true, true, true, 0},
		"the ledger knows later": {refused.Version, false, false, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var writes []Write
			a := New(Config{Cluster: "x", Wrote: func(w Write) { writes = append(writes, w) }})
			a.ledger = feed.NewLedger(feed.State{Fence: fence}, slices.Values([]record.KeyVersion{{Key: key, Version: refused.Version}}))
			if c.told {
				a.ledger.Reject(feed.Rejection{Key: key, Version: refused.Version})
			}
			if !c.offered.IsZero() {
				a.offered[key] = c.offered
			}
			if c.holds {
				a.cluster.objects[key] = refused.Version
			}
			if got := a.late(refused); got != c.done || len(writes) != c.writes {
				t.Fatalf("got done %t after %d writes, want %t after %d", got, len(writes), c.done, c.writes)
			}
			if c.writes == 0 {
				return
			}
			if w := writes[0]; w.Version != refused.Version || w.Fence != fence {
				t.Errorf("got %+v, want version %s under fence %s", w, refused.Version, fence)
			}
			if left := a.ledger.Standing().Rejected; len(left) > 0 {
				t.Errorf("still rejected: %v", left)
			}
		})
	}
}

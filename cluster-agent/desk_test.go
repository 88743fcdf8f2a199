package clusteragent

import (
	"log/slog"
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestDeskJoinsAWriteUnderWay has a session end while an object is being written, and the next one ask for the same: that
// is one write, whose outcome the second is told.
func TestDeskJoinsAWriteUnderWay(t *testing.T) {
	id := object.ID{Version: "v1", Kind: "ConfigMap", Namespace: "n", Name: "c"}
	wanted := func(version byte) *record.Record {
		return &record.Record{Key: id.Key(), Version: record.Version{version}}
	}
	for _, c := range []struct {
		name   string
		second *record.Record
		writes int
	}{
		{"the same version", wanted(1), 1},
		{"another version", wanted(2), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(slog.New(slog.DiscardHandler))
			defer d.close()
			first, second := 0, 0
			d.put(id, wanted(1), func(*feed.Rejection) { first++ })
			writes := 0
			for work, ok := d.take(id.Key()); ok; work, ok = d.take(id.Key()) {
				writes++
				if writes == 1 {
					d.put(id, c.second, func(*feed.Rejection) { second++ })
				}
				d.finish(work, result{seen: &sighting{version: work.want.record.Version}})
			}
			if writes != c.writes || first != 0 || second != 1 {
				t.Errorf("got %d writes, %d outcomes told to the first and %d to the second; want %d, 0 and 1", writes, first, second, c.writes)
			}
		})
	}
}

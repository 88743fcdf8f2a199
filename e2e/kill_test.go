package e2e

import (
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/question"
)

// TestKilledProcessesComeBack kills Meridian's processes and API servers, one of each kind and a whole zone, then all of
// them, and brings them back by `meridian up`: nothing may be lost, removed or written again, in the clusters as at the hub.
func TestKilledProcessesComeBack(t *testing.T) {
	f := start(t)
	for _, c := range []struct {
		name    string
		victims []string
	}{
		{"global", []string{"global"}},
		{"region", []string{"region-west"}},
		{"zone replica", []string{"zone-west-a-0"}},
		{"zone of one replica", []string{"zone-west-b"}},
		{"etcd of a zone", []string{"etcd-west-a"}},
		{"zone of several replicas", f.zone("west-a")},
		{"agent", []string{"agent-west-a-1"}},
		{"member API server", []string{"west-a-1-apiserver"}},
		{"hub API server", []string{"global-apiserver"}},
		{"all of Meridian and every API server", f.run.Processes()},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, since, statuses := f.inventory(t), f.mark(t), f.statusWrites(t)
			for _, name := range c.victims {
				f.kill(t, name)
			}
			f.upAgain(t)
			f.wroteNothing(t, since)
			f.stands(t, before)
			if n := f.statusWrites(t) - statuses; n > 0 {
				t.Errorf("Global wrote %d statuses of applications in which nothing has changed", n)
			}
		})
	}
}

// TestRestartWritesNoRecords restarts all tiers above the zones: what they hold is as it was, so that they write no record, and
// the zones' stores do not move on. One commit is the proof that the new term goes on, which a leader gives before it hands out
// addresses.
func TestRestartWritesNoRecords(t *testing.T) {
	f := start(t)
	before := f.positions(t)
	victims := []string{"global", "region-west", "region-east"}
	for _, name := range victims {
		f.kill(t, name)
	}
	f.restart(t, victims...)
	f.settled(t)
	for name, revision := range f.positions(t) {
		if strings.HasPrefix(name, string(question.TierZone)) && revision != before[name] {
			t.Errorf("the store of %s was at revision %d and is at %d", name, before[name], revision)
		}
	}
	for _, name := range victims {
		counted, err := f.metrics(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for counter, most := range map[string]float64{"meridian_store_records_written_total": 0, "meridian_store_records_removed_total": 0,
			"meridian_store_commits_total": 1} {
			if got, shown := counted[counter]; !shown || got > most {
				t.Errorf("%s of %s, since it started, is %v, want at most %v", counter, name, got, most)
			}
		}
	}
}

package az_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// dips notes every report that says less than that all is well.
type dips struct {
	mu  sync.Mutex
	all []string
}

// watch notes reports of applications that are not ready in all clusters at the revision and the time of before, reports
// of clusters that are not connected, and whatever is taken back.
func (d *dips) watch(z *shared, before map[string]record.Status) {
	z.parent.Told(func(b feed.Batch) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, r := range b.Puts {
			switch r.Key.Kind {
			case record.KindStatus:
				s, err := record.DecodeStatus(*r)
				was := before[r.Key.Name]
				// When it was applied is not known of a cluster whose owner and leader are both new.
				s.AppliedAt, s.ReadyAt, was.AppliedAt, was.ReadyAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
				if err != nil || was.Clusters > 0 && s.Counts != was.Counts {
					d.all = append(d.all, fmt.Sprintf("%s: %+v, %v; before %+v", r.Key, s.Counts, err, was.Counts))
				}
			case record.KindHealth:
				if h, err := record.DecodeHealth(*r); err != nil || !h.Connected || h.Nodes != 10 {
					d.all = append(d.all, fmt.Sprintf("%s: %+v, %v", r.Key, h, err))
				}
			default:
				d.all = append(d.all, fmt.Sprintf("%s went up", r.Key))
			}
		}
		for _, r := range b.Removals {
			d.all = append(d.all, fmt.Sprintf("%s removed", r.Key))
		}
	})
}

func (d *dips) check(t *testing.T, what string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, dip := range d.all {
		if i == 5 {
			t.Errorf("%s: and %d more", what, len(d.all)-i)
			break
		}
		t.Errorf("%s: the region was told %s", what, dip)
	}
	d.all = nil
}

// TestReportsDoNotDip changes owners and leaders in every way, and holds against each report that nothing has changed in
// the clusters. What one replica tells takes several batches.
func TestReportsDoNotDip(t *testing.T) {
	z := newShared(t, 3, 6)
	z.awaitOwners("r0", "r1", "r2")
	const apps = 150
	for i := range apps {
		a := app{name: fmt.Sprint("app-", i), image: "x:1", replicas: 1, placement: `{"mode":"Duplicated"}`}
		z.parent.Edit(a.puts()...)
	}
	before := map[string]record.Status{}
	for i := range apps {
		a := app{name: fmt.Sprint("app-", i), image: "x:1", replicas: 1, placement: `{"mode":"Duplicated"}`}
		before["n/"+a.name] = z.parent.AwaitStatus(t, "n/"+a.name, a.name+" is ready everywhere", ready(a.hash(), 6))
	}
	z.parent.Await(t, "it is told how all clusters are reached", func(reports map[record.Key]record.Record) bool {
		for i := range 6 {
			if _, told := reports[record.PlaceKey(fmt.Sprint("c", i))]; !told {
				return false
			}
		}
		return true
	})
	d := &dips{}
	d.watch(z, before)
	n := 0
	// moved has one more application settle, by which whatever came before it has been told.
	moved := func(what string, ids ...string) {
		t.Helper()
		z.awaitOwners(ids...)
		n++
		z.everywhere(app{name: fmt.Sprint("late-", n), image: "x:1"})
		d.check(t, what)
	}
	z.replicas["r2"].stop()
	moved("r2 ends", "r0", "r1")
	z.start("r2")
	moved("r2 begins", "r0", "r1", "r2")
	z.replicas["r0"].stop()
	moved("r0, which leads, ends", "r1", "r2")
	z.start("r0")
	moved("r0 begins", "r0", "r1", "r2")
	for _, id := range []string{"r1", "r2"} {
		z.crash(id)
		rest := []string{"r0", "r1"}
		if id == "r1" {
			rest[1] = "r2"
		}
		moved(id+" is killed", rest...)
		z.start(id)
		moved(id+" begins again", "r0", "r1", "r2")
	}
}

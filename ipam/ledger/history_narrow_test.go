package ledger_test

import (
	"cmp"
	"slices"

	"github.com/anishathalye/porcupine"
)

// narrow takes from the calls of unknown outcome what cannot have become of them, which makes histories quick to check and
// allows none that was not allowed before. An allocation that happened is of an extent that its owner was seen to have, with
// a revision that nobody had heard of when it was asked for; and it happened before the first such sight of each that it
// may be. One that nobody has ever seen anything of is as good as none.
func narrow(ops []observed) []porcupine.Operation {
	seen := sightings(ops)
	before := revisions(ops)
	var out []porcupine.Operation
	for _, op := range ops {
		c, a := op.Input.(call), op.Output.(answer)
		if a.outcome != unknown {
			out = append(out, op.Operation)
			continue
		}
		switch c.action {
		case getting:
			continue
		case allocating:
			last := int64(0)
			for _, s := range seen[sight{c.pool, c.owner}] {
				if s.Return < op.Call || !c.wants(s.extent) || s.revision <= before.at(op.Call) {
					continue
				}
				if !slices.Contains(a.perhaps, s.extent) {
					a.perhaps = append(a.perhaps, s.extent)
				}
				last = max(last, s.Return)
			}
			if len(a.perhaps) == 0 {
				continue
			}
			op.Return = min(op.Return, last)
			a.ended = op.Return
			op.Output = a
		}
		out = append(out, op.Operation)
	}
	return out
}

// sight is of an owner of a pool.
type sight struct {
	pool  int
	owner uint8
}

// sighting is that the owner had something; if granted, revision is the one at which it was given it, and otherwise a
// later one.
type sighting struct {
	porcupine.Operation
	extent   extent
	revision int64
	granted  bool
}

// sightings are the first of each time that an owner was given something, and all releases.
func sightings(ops []observed) map[sight][]sighting {
	out := map[sight][]sighting{}
	for _, op := range ops {
		c, a := op.Input.(call), op.Output.(answer)
		if a.extent.size > 0 {
			at := sight{c.pool, c.owner}
			out[at] = append(out[at], sighting{op.Operation, a.extent, a.revision, a.outcome != freed})
		}
	}
	for at, s := range out {
		slices.SortFunc(s, func(a, b sighting) int {
			return cmp.Or(cmp.Compare(a.revision, b.revision), cmp.Compare(a.Return, b.Return))
		})
		out[at] = slices.CompactFunc(s, func(a, b sighting) bool { return a.granted && b.granted && a.revision == b.revision })
	}
	return out
}

// progress is the highest revision that anybody had heard of, by time.
type progress []struct{ time, revision int64 }

func revisions(ops []observed) progress {
	var p progress
	for _, op := range ops {
		if a := op.Output.(answer); a.revision > 0 {
			p = append(p, struct{ time, revision int64 }{op.Return, a.revision})
		}
	}
	slices.SortFunc(p, func(a, b struct{ time, revision int64 }) int { return cmp.Compare(a.time, b.time) })
	for i := 1; i < len(p); i++ {
		p[i].revision = max(p[i].revision, p[i-1].revision)
	}
	return p
}

// at is the revision before a time.
func (p progress) at(time int64) int64 {
	i, _ := slices.BinarySearchFunc(p, time, func(e struct{ time, revision int64 }, t int64) int { return cmp.Compare(e.time, t) })
	if i == 0 {
		return 0
	}
	return p[i-1].revision
}

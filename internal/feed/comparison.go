package feed

import (
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// comparison is a sender's side of one comparison.
type comparison struct {
	round uint64
	// open are the buckets whose lists were asked for and have not come.
	open map[int]struct{}
	// found are the keys that differ, with the peer's version of them.
	found map[record.Key]record.Version
	// routine: the ends agreed before, so that what is found now is a mismatch.
	routine bool
	// settled: the session's outcomes were told once.
	settled bool
	// began is when the last one began, next is when a routine one is due; again that the peer asks for one.
	began, next time.Time
	again       bool
}

func (c *comparison) due(now time.Time) bool { return !now.Before(c.dueAt()) }

func (c *comparison) dueAt() time.Time {
	if asked := c.began.Add(againPause); c.again && (c.next.IsZero() || asked.Before(c.next)) {
		return asked
	}
	return c.next
}

// compare begins a comparison. It finds what is queued, too; a routine one keeps the queue to tell what it knew of from
// what it did not. The position is read after the digest, so that it is not behind it.
func (s *sender) compare(fence Fence) Root {
	s.comparison.routine = s.phase == streaming && !s.comparison.again
	if !s.comparison.routine {
		s.pending = pending{}
		clear(s.parked)
		clear(s.mismatched)
	}
	s.comparison.again, s.comparison.began = false, s.now
	s.comparison.round++
	s.comparison.open, s.comparison.found = nil, map[record.Key]record.Version{}
	s.phase, s.refusal = comparing, nil
	s.stats.Comparisons.Add(1)
	return Root{Round: s.comparison.round, Digest: s.outbox.Root(), Position: s.outbox.Position(), Fence: fence}
}

// current tells whether a message belongs to the comparison under way.
func (s *sender) current(round uint64) bool {
	return s.phase == comparing && s.comparison.round == round
}

// differ asks for the lists of the buckets that differ.
func (s *sender) differ(d Differ) []Message {
	if s.comparison.open != nil {
		return nil
	}
	mine := s.outbox.digests()
	s.comparison.open = map[int]struct{}{}
	ask := Select{Round: d.Round}
	for b := range mine {
		if mine[b] != d.Digests[b] {
			s.comparison.open[b] = struct{}{}
			ask.Buckets = append(ask.Buckets, b)
		}
	}
	if len(ask.Buckets) == 0 {
		s.conclude()
		return nil
	}
	return []Message{ask}
}

// lists takes a part of the lists, and after the last queues what differs.
func (s *sender) lists(l Lists) error {
	for _, list := range l.Lists {
		if _, asked := s.comparison.open[list.Bucket]; asked {
			delete(s.comparison.open, list.Bucket)
			difference(s.outbox.list(list.Bucket), list.Keys, s.comparison.found)
		}
	}
	if len(s.comparison.open) > 0 {
		return s.strays(len(s.comparison.found))
	}
	s.pull()
	for key := range s.comparison.found {
		_, parked := s.parked[key]
		switch {
		case s.pending.has(key) || parked:
		case s.comparison.routine:
			s.stats.Mismatches.Add(1)
			s.mismatched[key] = struct{}{}
		default:
			s.stats.Differences.Add(1)
		}
	}
	s.enqueue(s.comparison.found)
	s.conclude()
	return s.strays(s.pending.len())
}

// difference notes the keys that are not the same in both, with the peer's version.
func difference(mine, theirs []record.KeyVersion, found map[record.Key]record.Version) {
	held := make(map[record.Key]record.Version, len(theirs))
	for _, kv := range theirs {
		held[kv.Key] = kv.Version
	}
	for _, kv := range mine {
		version, ok := held[kv.Key]
		delete(held, kv.Key)
		if !ok || version != kv.Version {
			found[kv.Key] = version
		}
	}
	for key, version := range held {
		found[key] = version
	}
}

// enqueue queues keys in the order in which a difference is sent: what the Outbox holds by rank, then removals by
// descending rank.
func (s *sender) enqueue(keys map[record.Key]record.Version) {
	type place struct {
		key     record.Key
		removal bool
		rank    int
	}
	order := make([]place, 0, len(keys))
	for key := range keys {
		p := place{key: key, rank: s.rank(key)}
		if _, present := s.outbox.Get(key); !present {
			p.removal, p.rank = true, -p.rank
		}
		order = append(order, p)
	}
	slices.SortFunc(order, func(a, b place) int {
		switch {
		case a.removal != b.removal && a.removal:
			return 1
		case a.removal != b.removal:
			return -1
		case a.rank != b.rank:
			return a.rank - b.rank
		default:
			return a.key.Compare(b.key)
		}
	})
	for _, p := range order {
		delete(s.parked, p.key)
		s.pending.add(p.key, keys[p.key])
	}
}

// conclude goes on to stream. The first time in a session it tells the outcome of every key that the peer holds
// already: all but those that are queued or rejected. The keys are listed before the changes are taken, so that one
// that changes meanwhile is queued.
func (s *sender) conclude() {
	s.phase = streaming
	s.comparison.open, s.comparison.found = nil, nil
	s.comparison.next = s.now.Add(s.every)
	if s.comparison.settled {
		return
	}
	s.comparison.settled = true
	keys := s.outbox.Keys()
	s.pull()
	for _, kv := range keys {
		_, parked := s.parked[kv.Key]
		if !s.pending.has(kv.Key) && !parked && !s.rejects(kv.Key, kv.Version) {
			s.note(Outcome{Key: kv.Key, Version: kv.Version, At: s.now, Found: true})
		}
	}
}

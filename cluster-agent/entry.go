package clusteragent

import (
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// entry is one object on the desk.
//
//	          put                     worker                  ok
//	absent ────────▶ dirty ─────────────────────▶ busy ─────────────▶ clean
//	                  ▲ ▲ ▲                        │ │                  │
//	                  │ │ └── no answer: later ────┘ └─▶ rejected       │
//	                  │ └──────────── later, or kicked ─────┘           │
//	                  └────────────── put, remove, drift ───────────────┘
//
// The removal of what has to wait (leaving.go) stays dirty, and is queued again when it has waited long enough.
type entry struct {
	id object.ID
	// want is what the zone wants. It is nil while nothing but the cluster says that the object is there: after a
	// restart until the zone sends it again, which it does when it changes or is forgotten.
	want *want
	// seen is the last sighting; nil if there is no such object, or none of ours, as far as is known.
	seen *sighting
	// footprint is that of the object as it should be, where it was applied or found in order.
	footprint uint64
	// applied: what is wanted was applied by this process, so that its manifest need not be applied again.
	applied   bool
	appliedAt time.Time

	dirty, busy bool
	departure
	// late is what the watch told while a worker was busy with it.
	late *event
	// done takes the outcome to the batch that waits for it.
	done func(*feed.Rejection)

	rejection *feed.Rejection
	// batch is the number of the batch that was told of the rejection.
	batch uint64
	// tries without an answer, and refusals, since the last success.
	tries, refusals int
	fight           fight
}

// want is one wish of the zone for an object.
type want struct {
	// gone: it should not be there. Then there is no record.
	gone   bool
	record *record.Record
	at     time.Time
}

// event is what a watch says of an object; seen is nil when the object is gone, or has lost the label that is watched.
type event struct {
	seen            *sighting
	resourceVersion string
}

// task is what a worker does for an entry.
type task struct {
	id   object.ID
	want *want
	seen *sighting
	// tries that went before.
	tries int
}

// result is what came of it.
type result struct {
	// seen is the object afterwards, if there is one.
	seen *sighting
	err  error
}

// version is what the cluster has of the entry, as the zone should believe it: zero means that the zone should send it
// again.
func (e *entry) version() record.Version {
	if e.seen == nil || e.seen.disturbed {
		return record.Version{}
	}
	return e.seen.version
}

// inOrder tells whether a sighting is of the object as it should be.
func (e *entry) inOrder(s *sighting) bool {
	if !s.ours() || s.footprint != e.footprint {
		return false
	}
	return e.want == nil || e.want.gone || e.rejection != nil || s.version == e.want.record.Version
}

// The pace of a fight.
const (
	fightStep  = time.Second
	fightLimit = 5 * time.Minute
	// fightCalm without a round, beyond the last pause, ends it.
	fightCalm = time.Minute
	// fightRounds are worth telling a person.
	fightRounds = 5
)

// fight is a row of put-backs of one object. Somebody who keeps changing it must not make the agent run hot.
type fight struct {
	rounds int
	next   time.Time // not before
}

// pause counts a round and says how long to wait with it: not at all with the first.
func (f *fight) pause(now time.Time) time.Duration {
	if !f.on(now) {
		*f = fight{}
	}
	wait := f.length()
	f.rounds++
	f.next = now.Add(wait)
	return wait
}

func (f *fight) on(now time.Time) bool { return now.Before(f.next.Add(f.length() + fightCalm)) }

func (f *fight) length() time.Duration {
	if f.rounds == 0 {
		return 0
	}
	return min(fightStep<<min(f.rounds-1, 16), fightLimit)
}

// The pace of tries after no answer, and after a rejection.
const (
	retryStep     = 100 * time.Millisecond
	retryLimit    = 3 * time.Second
	rejectedStep  = time.Second
	rejectedLimit = 5 * time.Minute
)

func retryAfter(tries int) time.Duration { return min(retryStep<<min(tries, 16), retryLimit) }

func rejectedAfter(tries int) time.Duration { return min(rejectedStep<<min(tries, 16), rejectedLimit) }

// Package storetest holds every backend of package store to the same behaviour. Only tests import it.
package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// Backend is one store under test, empty at first.
type Backend interface {
	// Open makes another handle on the store; the suite closes it.
	Open(t *testing.T) store.Store
	// Compact forgets the store's history up to now.
	Compact(t *testing.T)
}

// Run runs the suite, each case on a Backend of its own. Large is how many records the largest case writes.
func Run(t *testing.T, large int, start func(t *testing.T) Backend) {
	cases := []struct {
		name string
		test func(t *testing.T, b *bench)
	}{
		{"an empty store has an epoch and nothing else", testEmpty},
		{"what is committed is loaded by another handle", testLoad},
		{"a batch is one delta", testAtomicDelta},
		{"a watch delivers what came before it began", testWatchHistory},
		{"a watch ends with its context or its function", testWatchEnds},
		{"a watch from a compacted revision says so", testCompacted},
		{"removals carry their causes", testCauses},
		{"meta values are put, replaced, emptied and removed", testMeta},
		{"an empty batch moves the position", testBarrier},
		{"the roster leaves the position", testPosition},
		{"a batch out of bounds is refused", testBounds},
		{"more records than a page are loaded at one revision", func(t *testing.T, b *bench) { testLarge(t, b, large) }},
		{"a deposed term writes nothing", testDeposed},
		{"a candidate waits for the leader to resign", testHandOver},
		{"a restarted leader leads at once", testRestartedLeader},
		{"closing a handle ends its term", testClose},
		{"a campaign ends with its context", testCampaignEnds},
		{"a term knows what earlier ones wrote", testSince},
		{"a claim is taken once and its fence grows", testClaims},
		{"of claimants at once one wins", testClaimRace},
		{"members are listed, described anew, and leave", testMembers},
		{"a restarted member takes its place at once", testRestartedMember},
		{"closing a handle ends its memberships", testCloseLeaves},
		{"the roster tells of claims", testRosterOfClaims},
		{"the roster tells who leads", testRosterOfLeaders},
		{"a leader is deposed by its name alone", testDepose},
		{"a roster's watch ends with its context, its function or its handle", testRosterEnds},
		{"a slow reader of the roster is told the latest", testSlowRoster},
		{"concurrent commits all happen", testConcurrentCommits},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c.test(t, &bench{ctx: ctx, backend: start(t)})
		})
	}
}

// bench is what the cases work with; its methods fail the test where the store returns an error.
type bench struct {
	ctx     context.Context
	backend Backend
}

func (b *bench) open(t *testing.T) store.Store {
	t.Helper()
	s := b.backend.Open(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

func (b *bench) campaign(t *testing.T, s store.Store, id string) store.Term {
	t.Helper()
	term, err := s.Campaign(b.ctx, id)
	if err != nil {
		t.Fatalf("campaigning as %s: %v", id, err)
	}
	return term
}

func (b *bench) commit(t *testing.T, s store.Store, term store.Term, batch store.Batch) store.Position {
	t.Helper()
	pos, err := s.Commit(b.ctx, term, batch)
	if err != nil {
		t.Fatalf("committing: %v", err)
	}
	return pos
}

func (b *bench) load(t *testing.T, s store.Store) *store.State {
	t.Helper()
	state, err := s.Load(b.ctx)
	if err != nil {
		t.Fatalf("loading: %v", err)
	}
	return state
}

// watch collects deltas after a revision up to the one with the given position.
func (b *bench) watch(t *testing.T, s store.Store, after, until int64) []store.Delta {
	t.Helper()
	var deltas []store.Delta
	began := 0
	err := s.Watch(b.ctx, after, func() { began++ }, func(d store.Delta) error {
		want(t, "beginnings before a delta", began, 1)
		deltas = append(deltas, d)
		if d.Position.Revision >= until {
			return errEnough
		}
		return nil
	})
	if err != errEnough { // the contract returns the function's error as it is
		t.Fatalf("watching after %d until %d: got %v after %d deltas", after, until, err, len(deltas))
	}
	return deltas
}

var errEnough = fmt.Errorf("enough")

func key(name string) record.Key { return record.Key{Kind: record.KindRevision, Name: name} }

func put(name, content string) store.Write {
	return store.Write{Record: record.New(key(name), []byte(content))}
}

func remove(name string, cause record.Cause) store.Write {
	return store.Write{Record: record.Record{Key: key(name)}, Delete: true, Cause: cause}
}

func writes(w ...store.Write) store.Batch { return store.Batch{Writes: w} }

package region

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/intake"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// keepPause is how long the keeper waits after a write that failed.
const keepPause = 200 * time.Millisecond

// allotments is what the zones say became of claims. The leader keeps it in the region's store, so that nothing is withdrawn of
// what a zone said that is silent when the region restarts; what the store holds is told to Global, as it is.
//
//	zones ──take──▶ words ──keep──▶ store ──follow──▶ outbox
//
// All methods may be called from several goroutines.
type allotments struct {
	region string
	mirror *store.Mirror
	outbox *feed.Outbox
	log    *slog.Logger
	ready  chan struct{} // closed when all that the store held at first is in the outbox
	wake   chan struct{} // holds one token while there may be something to write

	mu    sync.Mutex // guards all below
	words map[record.Key]record.Record
	// dirty are the keys to bring the store to, each with the cause if it is to be removed.
	dirty map[record.Key]record.Cause
	// told are the zones that have told all in their present session.
	told map[string]bool
}

func newAllotments(region string, mirror *store.Mirror, outbox *feed.Outbox, log *slog.Logger) *allotments {
	return &allotments{region: region, mirror: mirror, outbox: outbox, log: log, ready: make(chan struct{}), wake: make(chan struct{}, 1),
		words: map[record.Key]record.Record{}, dirty: map[record.Key]record.Cause{}, told: map[string]bool{}}
}

// take notes what a zone says; records of other kinds are passed over. What is put is the zone's own by its name.
func (a *allotments) take(puts []*record.Record, removals []feed.Removal) (rejected []feed.Rejection) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range puts {
		if r.Key.Kind != record.KindAllotment {
			continue
		}
		if _, err := record.DecodeAllotment(*r); err != nil {
			rejected = append(rejected, children.Reject(*r, err))
			continue
		}
		a.words[r.Key] = *r
		a.touch(r.Key, record.CauseFound)
	}
	for _, r := range removals {
		if _, said := a.words[r.Key]; said { // else it is none, or not one that was taken
			delete(a.words, r.Key)
			a.touch(r.Key, r.Cause)
		}
	}
	return rejected
}

// connected notes that a zone's session began or ended.
func (a *allotments) connected(zone string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.told, zone)
}

// heardOf notes that a zone has told all: what it did not tell is no more.
func (a *allotments) heardOf(zone string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told[zone] {
		return
	}
	a.told[zone] = true
	for e := range a.mirror.Snapshot().Prefix(record.KindAllotment, a.region+"/"+zone+"/") {
		if _, said := a.words[e.Key]; !said {
			a.touch(e.Key, record.CausePerson)
		}
	}
}

// retain drops what is not of one of these zones: the others are no longer in the region.
func (a *allotments) retain(in func(zone string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range a.words {
		if _, zone := key.Place(); !in(zone) {
			delete(a.words, key)
			a.touch(key, record.CauseScope)
		}
	}
	for e := range a.mirror.Snapshot().All(record.KindAllotment) {
		if _, zone := e.Key.Place(); !in(zone) {
			a.touch(e.Key, record.CauseScope)
		}
	}
}

// touch has a key looked at, with mu held.
func (a *allotments) touch(key record.Key, cause record.Cause) {
	a.dirty[key] = cause
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// keep brings the store to what the zones say, for one term.
func (a *allotments) keep(ctx context.Context, writer intake.Writer) error {
	a.renew()
	for {
		writes := a.due()
		var pause <-chan time.Time
		if _, err := writer.Apply(ctx, writes, nil); err != nil {
			if errors.Is(err, store.ErrDeposed) || ctx.Err() != nil {
				return err
			}
			a.log.Warn("keeping what became of claims", "error", err, "again", keepPause)
			a.again(writes)
			pause = time.After(keepPause)
		}
		select {
		case <-pause:
		case <-a.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// renew has all words looked at: another leader may have written others.
func (a *allotments) renew() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range a.words {
		a.touch(key, record.CauseFound)
	}
}

// due takes what is to be written.
func (a *allotments) due() (writes []store.Write) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, cause := range a.dirty {
		if r, said := a.words[key]; said {
			writes = append(writes, store.Write{Record: r})
		} else {
			writes = append(writes, store.Write{Record: record.Record{Key: key}, Delete: true, Cause: cause})
		}
	}
	clear(a.dirty)
	return writes
}

// again has what was not written looked at again.
func (a *allotments) again(writes []store.Write) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range writes {
		if _, newer := a.dirty[w.Key]; !newer {
			a.dirty[w.Key] = w.Cause
		}
	}
}

// follow tells Global what the store holds, until ctx ends.
func (a *allotments) follow(ctx context.Context) error {
	sub := a.mirror.Subscribe()
	defer sub.Close()
	for begun := false; ; begun = true {
		u, err := sub.Next(ctx)
		if err != nil {
			return fmt.Errorf("following the mirror: %w", err)
		}
		var edits []feed.Edit
		for _, c := range u.Changes {
			switch {
			case c.Key.Kind != record.KindAllotment:
			case c.New != nil:
				edits = append(edits, feed.Put(&c.New.Record))
			default:
				edits = append(edits, feed.Remove(c.Key, c.Cause))
			}
		}
		a.outbox.Edit(edits...)
		if !begun {
			close(a.ready)
		}
	}
}

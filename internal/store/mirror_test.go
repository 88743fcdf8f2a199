package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func key(name string) record.Key { return record.Key{Kind: record.KindRevision, Name: name} }

func put(name, content string) store.Write {
	return store.Write{Record: record.New(key(name), []byte(content))}
}

func remove(name string, cause record.Cause) store.Write {
	return store.Write{Record: record.Record{Key: key(name)}, Delete: true, Cause: cause}
}

// fixture is a store, its leader's term and a running mirror.
type fixture struct {
	ctx    context.Context
	store  *mem.Store
	term   store.Term
	mirror *store.Mirror
}

// start makes a fixture; the mirror reads through the store that via makes of the real one.
func start(t *testing.T, via func(store.Store) store.Store) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Hour)
	f := &fixture{ctx: ctx, store: mem.New()}
	var err error
	if f.term, err = f.store.Campaign(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	var read store.Store = f.store
	if via != nil {
		read = via(read)
	}
	f.mirror = store.NewMirror(read, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f.mirror.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("running the mirror: got %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return f
}

func (f *fixture) commit(t *testing.T, writes ...store.Write) {
	t.Helper()
	f.commitMeta(t, nil, writes...)
}

func (f *fixture) commitMeta(t *testing.T, meta map[string][]byte, writes ...store.Write) {
	t.Helper()
	pos, err := f.store.Commit(f.ctx, f.term, store.Batch{Writes: writes, Meta: meta})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.mirror.WaitRevision(f.ctx, pos.Revision); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) next(t *testing.T, sub *store.Subscription) []string {
	t.Helper()
	u, err := sub.Next(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	return describe(u)
}

// connected wants the mirror's gauge and its count of losses to be so.
func (f *fixture) connected(t *testing.T, connected, lost int64) {
	t.Helper()
	if s := f.mirror.Stats(); s.Connected.Load() != connected || s.Lost.Load() != lost {
		t.Errorf("connected %d and lost %d times, want %d and %d", s.Connected.Load(), s.Lost.Load(), connected, lost)
	}
}

// describe is an update's changes as text: name:old>new, with the cause of a removal for new.
func describe(u store.Update) []string {
	text := []string{}
	for _, c := range u.Changes {
		old, now := "", ""
		if c.Old != nil {
			old = string(c.Old.Content)
		}
		if c.New != nil {
			now = string(c.New.Content)
		} else {
			now = "(" + c.Cause.String() + ")"
		}
		text = append(text, c.Key.Name+":"+old+">"+now)
	}
	for name, value := range u.Meta {
		text = append(text, fmt.Sprintf("meta %s=%s", name, value))
	}
	return text
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func names(entries func(func(*store.Entry) bool)) []string {
	var all []string
	for e := range entries {
		all = append(all, e.Key.String())
	}
	return all
}

func TestSnapshot(t *testing.T) {
	f := start(t, nil)
	service := store.Write{Record: record.New(record.Key{Kind: record.KindService, Name: "a/b"}, nil)}
	f.commitMeta(t, map[string][]byte{"m": []byte("1")}, put("b/x", "1"), put("a/x", "1"), put("a/y", "1"), put("ab", "1"), service)
	snap := f.mirror.Snapshot()
	f.commitMeta(t, map[string][]byte{"m": nil}, remove("a/x", record.CauseFound), put("a/z", "1"))
	later := f.mirror.Snapshot()

	equal(t, "all", names(snap.All(record.KindRevision)), []string{"revision/a/x", "revision/a/y", "revision/ab", "revision/b/x"})
	equal(t, "prefix", names(snap.Prefix(record.KindRevision, "a/")), []string{"revision/a/x", "revision/a/y"})
	equal(t, "no such kind", names(snap.All("rev")), nil)
	equal(t, "later", names(later.Prefix(record.KindRevision, "a/")), []string{"revision/a/y", "revision/a/z"})
	for range snap.Entries() {
		break // an iteration may stop
	}
	if _, ok := later.Get(key("a/x")); ok {
		t.Error("a removed record is still there")
	}
	if e, ok := snap.Get(key("a/x")); !ok || string(e.Content) != "1" {
		t.Errorf("a record of an old snapshot: got %v, %t", e, ok)
	}
	if string(snap.Meta("m")) != "1" || later.Meta("m") != nil {
		t.Errorf("meta: got %q and %q", snap.Meta("m"), later.Meta("m"))
	}
	if snap.Len() != 5 || later.Len() != 5 || snap.Position().Revision >= later.Position().Revision {
		t.Errorf("got %d records at %v, %d at %v", snap.Len(), snap.Position(), later.Len(), later.Position())
	}
}

func TestSubscription(t *testing.T) {
	f := start(t, nil)
	f.commitMeta(t, map[string][]byte{"m": []byte("1")}, put("a", "1"), put("b", "1"))
	sub := f.mirror.Subscribe()
	defer sub.Close()
	f.commit(t, put("b", "2"))
	equal(t, "first", f.next(t, sub), []string{"a:>1", "b:>2", "meta m=1"})

	steps := []struct {
		name   string
		writes [][]store.Write
		want   []string
	}{
		{"one change", [][]store.Write{{put("a", "2")}}, []string{"a:1>2"}},
		{"two of one key", [][]store.Write{{put("a", "3")}, {put("a", "4")}}, []string{"a:2>4"}},
		{"added and removed", [][]store.Write{{put("c", "1")}, {remove("c", record.CausePerson)}}, []string{}},
		{"there and back", [][]store.Write{{put("a", "5")}, {put("a", "4")}}, []string{}},
		{"there, back and away", [][]store.Write{{put("a", "5")}, {put("a", "4")}, {put("a", "6")}}, []string{"a:4>6"}},
		{"removed and added", [][]store.Write{{remove("a", record.CausePerson)}, {put("a", "7")}}, []string{"a:6>7"}},
		{"removed", [][]store.Write{{put("a", "8")}, {remove("a", record.CausePerson), remove("b", record.CauseScope)}},
			[]string{"a:7>(person)", "b:2>(scope)"}},
		{"what was gone came and went", [][]store.Write{{put("a", "9")}, {remove("a", record.CauseScope)}}, []string{}},
	}
	for _, s := range steps {
		for _, w := range s.writes {
			f.commit(t, w...)
		}
		equal(t, s.name, f.next(t, sub), s.want)
	}
}

func TestSubscriptionWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		sub := f.mirror.Subscribe()
		equal(t, "first, of an empty store", f.next(t, sub), []string{})
		got := make(chan []string)
		go func() { got <- f.next(t, sub) }()
		synctest.Wait()
		f.commit(t, put("a", "1"))
		equal(t, "woken", <-got, []string{"a:>1"})

		ended := make(chan error)
		go func() {
			_, err := sub.Next(f.ctx)
			ended <- err
		}()
		synctest.Wait()
		sub.Close()
		if err := <-ended; !errors.Is(err, store.ErrUnsubscribed) {
			t.Errorf("after Close: got %v", err)
		}
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		other := f.mirror.Subscribe()
		f.next(t, other)
		if _, err := other.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Next with an ended context: got %v, want %v", err, context.Canceled)
		}
	})
}

// TestSubscriptionAgainstModel holds a reader that applies updates to a map against the snapshot, for a reader of
// random speed while the store also forgets its history, is set back and fails.
func TestSubscriptionAgainstModel(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			var flaky *unreliable
			f := start(t, func(s store.Store) store.Store {
				flaky = &unreliable{Store: s}
				return flaky
			})
			sub := f.mirror.Subscribe()
			backup := f.store.Copy()
			held := map[record.Key]*store.Entry{}
			for range 300 {
				switch rng.IntN(20) {
				case 0:
					f.store.Compact()
				case 1:
					backup = f.store.Copy()
				case 2:
					f.store.Restore(backup)
					f.term, _ = f.store.Campaign(f.ctx, "a")
				case 3:
					flaky.broken.Store(!flaky.broken.Load())
				case 4, 5, 6, 7, 8:
					synctest.Wait()
					read(t, f, sub, held)
				default:
					w := put(fmt.Sprint(rng.IntN(5)), fmt.Sprint(rng.IntN(3)))
					w.Delete = rng.IntN(3) == 0
					if _, err := f.store.Commit(f.ctx, f.term, store.Batch{Writes: []store.Write{w}}); err != nil {
						t.Fatal(err)
					}
				}
			}
			flaky.broken.Store(false)
			f.commit(t, put("last", "1")) // waits until the mirror is up to date
			synctest.Wait()
			read(t, f, sub, held)
			if len(held) != f.mirror.Snapshot().Len() {
				t.Errorf("seed %d: got %d records, want %d", seed, len(held), f.mirror.Snapshot().Len())
			}
		})
	}
}

// read takes an update, if there is one, and holds it against what the reader had and what the snapshot has.
func read(t *testing.T, f *fixture, sub *store.Subscription, held map[record.Key]*store.Entry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, time.Nanosecond)
	defer cancel()
	u, err := sub.Next(ctx)
	if err != nil {
		return
	}
	version := func(e *store.Entry) record.Version {
		if e == nil {
			return record.Version{}
		}
		return e.Version
	}
	for _, c := range u.Changes {
		if version(held[c.Key]) != version(c.Old) || version(c.Old) == version(c.New) {
			t.Errorf("%s: got old %v and new %v, held %v", c.Key, c.Old, c.New, held[c.Key])
		}
		if held[c.Key] = c.New; c.New == nil {
			delete(held, c.Key)
		}
	}
	for e := range u.New.Entries() {
		if version(held[e.Key]) != e.Version {
			t.Errorf("%s: got %v, want %v", e.Key, held[e.Key], e)
		}
	}
	if len(held) != u.New.Len() {
		t.Errorf("got %d records, want %d", len(held), u.New.Len())
	}
}

// unreliable is a store that cannot be reached at times.
type unreliable struct {
	store.Store
	broken atomic.Bool
}

var errUnreachable = errors.New("unreachable")

func (u *unreliable) Load(ctx context.Context) (*store.State, error) {
	if u.broken.Load() {
		return nil, errUnreachable
	}
	return u.Store.Load(ctx)
}

func (u *unreliable) Watch(ctx context.Context, revision int64, began func(), fn func(store.Delta) error) error {
	if u.broken.Load() {
		return errUnreachable
	}
	return u.Store.Watch(ctx, revision, began, func(d store.Delta) error {
		if u.broken.Load() {
			return errUnreachable
		}
		return fn(d)
	})
}

func TestMirrorOutlastsItsStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flaky *unreliable
		f := start(t, func(s store.Store) store.Store {
			flaky = &unreliable{Store: s}
			flaky.broken.Store(true)
			return flaky
		})
		synctest.Wait()
		f.connected(t, 0, 0)
		if f.mirror.Ready() || f.mirror.Snapshot().Len() != 0 {
			t.Error("ready before the store could be read")
		}
		flaky.broken.Store(false)
		if err := f.mirror.WaitReady(f.ctx); err != nil {
			t.Fatal(err)
		}
		f.commit(t, put("a", "1"))
		f.connected(t, 1, 0)
		flaky.broken.Store(true)
		if _, err := f.store.Commit(f.ctx, f.term, store.Batch{Writes: []store.Write{put("a", "2")}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		f.connected(t, 0, 1)
		if e, ok := f.mirror.Snapshot().Get(key("a")); !ok || string(e.Content) != "1" || !f.mirror.Ready() {
			t.Errorf("while the store is away: got %v, %t", e, ok)
		}
		flaky.broken.Store(false)
		f.commit(t, put("b", "1"))
		f.connected(t, 1, 1)
		if e, _ := f.mirror.Snapshot().Get(key("a")); string(e.Content) != "2" {
			t.Errorf("when the store is back: got %v", e)
		}
	})
}

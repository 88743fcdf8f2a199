package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// contents is a state's records as text, in the order of their keys.
func contents(state *store.State) []string {
	var all []string
	for _, e := range state.Entries {
		all = append(all, e.Key.String()+"="+string(e.Content))
	}
	slices.Sort(all)
	return all
}

// changes is deltas' changes as text, sorted, one slice for each delta.
func changes(deltas []store.Delta) [][]string {
	var all [][]string
	for _, d := range deltas {
		var one []string
		for _, c := range d.Changes {
			if c.New != nil {
				one = append(one, c.Key.Name+"="+string(c.New.Content))
			} else {
				one = append(one, c.Key.Name+" "+c.Cause.String())
			}
		}
		slices.Sort(one)
		all = append(all, one)
	}
	return all
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func testEmpty(t *testing.T, b *bench) {
	first, second := b.load(t, b.open(t)), b.load(t, b.open(t))
	if first.Position.Epoch == 0 {
		t.Error("the epoch is zero")
	}
	want(t, "position by a second handle", second.Position, first.Position)
	want(t, "records", len(first.Entries), 0)
	want(t, "meta values", len(first.Meta), 0)
}

func testLoad(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	term := b.campaign(t, one, "a")
	before := time.Now().Add(-time.Second)
	b.commit(t, one, term, writes(put("x", "1"), put("y/z", "2"), put("empty", "")))
	pos := b.commit(t, one, term, writes(put("x", "3")))

	state := b.load(t, two)
	want(t, "position", state.Position, pos)
	want(t, "records", contents(state), []string{"revision/empty=", "revision/x=3", "revision/y/z=2"})
	for _, e := range state.Entries {
		if e.Version != record.VersionOf(e.Content) {
			t.Errorf("version of %s: got %s, want %s", e.Key, e.Version, record.VersionOf(e.Content))
		}
		if e.Written.Before(before) || e.Written.After(time.Now().Add(time.Second)) {
			t.Errorf("%s written at %v, want about now", e.Key, e.Written)
		}
		if last := e.Revision == pos.Revision; last != (e.Key.Name == "x") {
			t.Errorf("revision of %s: got %d, the last commit is %d", e.Key, e.Revision, pos.Revision)
		}
	}
}

func testAtomicDelta(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	from := b.load(t, two)
	term := b.campaign(t, one, "a")
	first := writes()
	for i := range store.MaxBatch - 1 {
		first.Writes = append(first.Writes, put(fmt.Sprint(i), "1"))
	}
	first.Meta = map[string][]byte{"floor": []byte("7")}

	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 20 {
			first.Writes[0] = put("0", fmt.Sprint("round ", i))
			if _, err := one.Commit(b.ctx, term, first); err != nil {
				t.Errorf("committing: %v", err)
			}
		}
	})
	defer wg.Wait()
	seen := 0
	err := two.Watch(b.ctx, from.ReadAt, func() {}, func(d store.Delta) error {
		if len(d.Changes)%len(first.Writes) != 0 {
			t.Errorf("delta: got %d changes, want a multiple of %d", len(d.Changes), len(first.Writes))
		}
		want(t, "epoch", d.Position.Epoch, from.Position.Epoch)
		want(t, "meta", string(d.Meta["floor"]), "7")
		if seen += len(d.Changes); seen >= 20*len(first.Writes) {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Errorf("watching: got %v", err)
	}
}

func testWatchHistory(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	term := b.campaign(t, one, "a")
	p1 := b.commit(t, one, term, writes(put("x", "1")))
	p2 := b.commit(t, one, term, writes(put("x", "2"), put("y", "1")))
	p3 := b.commit(t, one, term, writes(remove("x", record.CauseFound), remove("absent", record.CausePerson)))
	if p1.Revision >= p2.Revision || p2.Revision >= p3.Revision {
		t.Errorf("positions do not grow: %v, %v, %v", p1, p2, p3)
	}

	deltas := b.watch(t, two, p1.Revision, p3.Revision)
	want(t, "last position", deltas[len(deltas)-1].Position.Revision, p3.Revision)
	of := map[string][]string{}
	for _, d := range deltas {
		for _, c := range d.Changes {
			of[c.Key.Name] = append(of[c.Key.Name], changes([]store.Delta{{Changes: []store.Change{c}}})[0]...)
		}
	}
	want(t, "changes by key", of, map[string][]string{"x": {"x=2", "x found"}, "y": {"y=1"}})
}

func testWatchEnds(t *testing.T, b *bench) {
	s := b.open(t)
	from := b.load(t, s).ReadAt
	ctx, cancel := context.WithCancel(b.ctx)
	cancel()
	began := func() { t.Error("a watch with an ended context began") }
	if err := s.Watch(ctx, from, began, func(store.Delta) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("watching with an ended context: got %v, want %v", err, context.Canceled)
	}
	term := b.campaign(t, s, "a")
	pos := b.commit(t, s, term, writes(put("x", "1")))
	b.watch(t, s, from, pos.Revision) // fails unless it returns the function's error
}

func testCompacted(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	from := b.load(t, two)
	term := b.campaign(t, one, "a")
	b.commit(t, one, term, writes(put("x", "1")))
	b.commit(t, one, term, writes(put("x", "2")))
	b.backend.Compact(t)
	err := two.Watch(b.ctx, from.ReadAt, func() {}, func(store.Delta) error { return nil })
	if !errors.Is(err, store.ErrCompacted) {
		t.Errorf("watching after a compaction: got %v, want %v", err, store.ErrCompacted)
	}

	again := b.load(t, two)
	want(t, "records", contents(again), []string{"revision/x=2"})
	pos := b.commit(t, one, term, writes(put("y", "1")))
	deltas := b.watch(t, two, again.ReadAt, pos.Revision)
	want(t, "changes", changes(deltas), [][]string{{"y=1"}})
}

func testCauses(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	term := b.campaign(t, one, "a")
	p1 := b.commit(t, one, term, writes(put("f", "1"), put("s", "1"), put("p", "1"), put("kept", "1")))
	b.commit(t, one, term, writes(remove("p", record.CausePerson), put("kept", "2"),
		remove("s", record.CauseScope), remove("f", record.CauseFound)))
	b.commit(t, one, term, writes(put("p", "2")))
	p4 := b.commit(t, one, term, writes(remove("p", record.CauseScope)))
	deltas := b.watch(t, two, p1.Revision, p4.Revision)
	want(t, "changes", slices.Sorted(slices.Values(slices.Concat(changes(deltas)...))),
		[]string{"f found", "kept=2", "p person", "p scope", "p=2", "s scope"})
	want(t, "records", contents(b.load(t, two)), []string{"revision/kept=2"})
}

func testMeta(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	from := b.load(t, two).ReadAt
	term := b.campaign(t, one, "a")
	p1 := b.commit(t, one, term, store.Batch{Meta: map[string][]byte{"a": []byte("1"), "b/c": []byte("2"), "none": {}}})
	p2 := b.commit(t, one, term, store.Batch{Meta: map[string][]byte{"a": nil, "b/c": []byte("3")}})

	state := b.load(t, two)
	want(t, "meta", state.Meta, map[string][]byte{"b/c": []byte("3"), "none": {}})
	want(t, "position", state.Position, p2)
	first := b.watch(t, two, from, p1.Revision)[0]
	if v, ok := first.Meta["none"]; !ok || v == nil || len(v) != 0 {
		t.Errorf("an empty meta value: got %v, %t", v, ok)
	}
	last := b.watch(t, two, p1.Revision, p2.Revision)[0]
	if v, ok := last.Meta["a"]; !ok || v != nil {
		t.Errorf("a removed meta value: got %q, %t; want nil, true", v, ok)
	}
	want(t, "a replaced meta value", string(last.Meta["b/c"]), "3")
}

func testBarrier(t *testing.T, b *bench) {
	s := b.open(t)
	term := b.campaign(t, s, "a")
	p1 := b.commit(t, s, term, writes(put("x", "1")))
	p2 := b.commit(t, s, term, store.Batch{})
	if p2.Revision <= p1.Revision {
		t.Errorf("position after an empty batch: got %v after %v", p2, p1)
	}
	deltas := b.watch(t, s, p1.Revision, p2.Revision)
	want(t, "changes", slices.Concat(changes(deltas)...), nil)
	want(t, "position", b.load(t, s).Position, p2)
}

func testPosition(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	term := b.campaign(t, one, "a")
	pos := b.commit(t, one, term, writes(put("x", "1")))
	if err := term.Resign(b.ctx); err != nil {
		t.Fatalf("resigning: %v", err)
	}
	b.campaign(t, two, "b")
	if _, err := two.Claim(b.ctx, "cluster", "b", 0); err != nil {
		t.Fatalf("claiming: %v", err)
	}
	b.join(t, two, member("b"))
	state := b.load(t, one)
	want(t, "position", state.Position, pos)
	if state.ReadAt <= pos.Revision {
		t.Errorf("read at %d, want after the claim and %d", state.ReadAt, pos.Revision)
	}
}

func testBounds(t *testing.T, b *bench) {
	s := b.open(t)
	term := b.campaign(t, s, "a")
	many := writes()
	for i := range store.MaxBatch + 1 {
		many.Writes = append(many.Writes, put(fmt.Sprint(i), ""))
	}
	big := strings.Repeat("x", store.MaxBatchBytes/2)
	for name, batch := range map[string]store.Batch{
		"too many":   many,
		"too large":  writes(put("x", big), put("y", big)),
		"same twice": writes(put("x", "1"), remove("x", record.CauseFound)),
	} {
		if _, err := s.Commit(b.ctx, term, batch); !errors.Is(err, store.ErrBounds) {
			t.Errorf("%s: got %v, want %v", name, err, store.ErrBounds)
		}
	}
	want(t, "records", contents(b.load(t, s)), nil)

	most := bytes.Repeat([]byte("x"), store.MaxBatchBytes-len("revision"+"y"))
	b.commit(t, s, term, writes(store.Write{Record: record.New(key("y"), most)}))
	want(t, "size of the largest record", len(b.load(t, s).Entries[0].Content), len(most))
}

func testLarge(t *testing.T, b *bench, n int) {
	one, two := b.open(t), b.open(t)
	term := b.campaign(t, one, "a")
	for at := 0; at < n; at += store.MaxBatch {
		batch := writes()
		for i := at; i < min(at+store.MaxBatch, n); i++ {
			batch.Writes = append(batch.Writes, put(fmt.Sprintf("n/%07d", i), fmt.Sprint(i)))
		}
		b.commit(t, one, term, batch)
	}
	// While it is read, each commit removes one record and adds another: at any one revision there are n.
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			swap := writes(remove(fmt.Sprintf("n/%07d", i), record.CauseFound), put(fmt.Sprintf("n/%07d", n+i), "new"))
			if _, err := one.Commit(b.ctx, term, swap); err != nil {
				t.Errorf("committing: %v", err)
				return
			}
		}
	})
	for range 3 {
		state := b.load(t, two)
		want(t, "records", len(state.Entries), n)
		newest := int64(0)
		for _, e := range state.Entries {
			newest = max(newest, e.Revision)
		}
		want(t, "newest record's revision", newest, state.Position.Revision)
	}
	close(stop)
	wg.Wait()
}

func testConcurrentCommits(t *testing.T, b *bench) {
	s := b.open(t)
	term := b.campaign(t, s, "a")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := s.Commit(b.ctx, term, writes(put(fmt.Sprint(i), "1"))); err != nil {
				t.Errorf("committing: %v", err)
			}
		})
	}
	wg.Wait()
	want(t, "records", len(b.load(t, s).Entries), 20)
}

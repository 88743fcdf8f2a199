package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// counting counts commits and fails them on demand, before or after they happened.
type counting struct {
	store.Store
	commits     int
	meta        []int // how many meta values each commit wrote
	fail        error
	failWritten bool
}

func (c *counting) Commit(ctx context.Context, t store.Term, b store.Batch) (store.Position, error) {
	if err := c.fail; err != nil {
		c.fail = nil
		if c.failWritten {
			if _, err := c.Store.Commit(ctx, t, b); err != nil {
				return store.Position{}, err
			}
		}
		return store.Position{}, err
	}
	c.commits++
	c.meta = append(c.meta, len(b.Meta))
	return c.Store.Commit(ctx, t, b)
}

func newWriter(t *testing.T) (*fixture, *counting, *store.Writer) {
	f := start(t, nil)
	c := &counting{Store: f.store}
	return f, c, store.NewWriter(c, f.mirror, f.term)
}

func TestWriter(t *testing.T) {
	f, c, w := newWriter(t)
	many := make([]store.Write, 0, 250)
	for i := range 250 {
		many = append(many, put(fmt.Sprintf("n/%03d", i), "1"))
	}
	half := string(bytes.Repeat([]byte("x"), store.MaxBatchBytes/2))
	steps := []struct {
		name    string
		writes  []store.Write
		meta    map[string][]byte
		changed int
		commits int
	}{
		{"nothing", nil, nil, 0, 0},
		{"records", []store.Write{put("a", "1"), put("b", "1")}, nil, 2, 1},
		{"the same again", []store.Write{put("a", "1"), put("b", "1")}, nil, 0, 0},
		{"one of two", []store.Write{put("a", "1"), put("b", "2")}, nil, 1, 1},
		{"a removal", []store.Write{remove("a", record.CausePerson)}, nil, 1, 1},
		{"a removal of what is gone", []store.Write{remove("a", record.CausePerson)}, nil, 0, 0},
		{"one key three times", []store.Write{put("c", "1"), remove("c", record.CauseFound), put("c", "3")}, nil, 1, 1},
		{"meta alone", nil, map[string][]byte{"m": []byte("1")}, 0, 1},
		{"the same meta", nil, map[string][]byte{"m": []byte("1"), "absent": nil}, 0, 0},
		{"an empty meta value", nil, map[string][]byte{"e": {}}, 0, 1},
		{"the same empty meta value", nil, map[string][]byte{"e": {}}, 0, 0},
		{"many, with meta", many, map[string][]byte{"m": []byte("2")}, 250, 3},
		{"a full batch, with meta", many250("2")[:100], map[string][]byte{"m": nil}, 100, 2},
		{"large ones", []store.Write{put("l/1", half), put("l/2", half), put("l/3", half)}, nil, 3, 3},
	}
	for _, s := range steps {
		c.commits, c.meta = 0, nil
		changed, err := w.Apply(f.ctx, s.writes, s.meta)
		if err != nil || changed != s.changed || c.commits != s.commits {
			t.Errorf("%s: got %d changed in %d commits, %v; want %d in %d", s.name, changed, c.commits, err, s.changed, s.commits)
		}
		for i, n := range c.meta {
			if n > 0 && i != len(c.meta)-1 {
				t.Errorf("%s: meta values in commit %d of %d", s.name, i+1, len(c.meta))
			}
		}
		for _, last := range s.writes {
			if e, ok := f.mirror.Snapshot().Get(last.Key); last.Key.Name != "c" && (ok == last.Delete || ok && e.Version != last.Version) {
				t.Errorf("%s: the mirror holds %v for %s", s.name, e, last.Key)
			}
		}
	}
	if e, _ := f.mirror.Snapshot().Get(key("c")); string(e.Content) != "3" {
		t.Errorf("of three writes of one key: got %s, want 3", e.Content)
	}
}

func many250(content string) []store.Write {
	var many []store.Write
	for i := range 250 {
		many = append(many, put(fmt.Sprintf("n/%03d", i), content))
	}
	return many
}

func TestWriterRefusesWhatIsTooLarge(t *testing.T) {
	f, c, w := newWriter(t)
	huge := store.Write{Record: record.New(key("huge"), make([]byte, store.MaxBatchBytes))}
	if n, err := w.Apply(f.ctx, []store.Write{put("a", "1"), huge}, nil); n != 0 || !errors.Is(err, store.ErrBounds) {
		t.Errorf("got %d changed, %v; want 0, %v", n, err, store.ErrBounds)
	}
	if c.commits != 0 {
		t.Errorf("got %d commits, want none", c.commits)
	}
}

func TestWriterOfAnEndedTerm(t *testing.T) {
	f, _, w := newWriter(t)
	if err := f.term.Resign(f.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Apply(f.ctx, []store.Write{put("a", "1")}, nil); !errors.Is(err, store.ErrDeposed) {
		t.Errorf("got %v, want %v", err, store.ErrDeposed)
	}
}

// TestWriterAfterDoubt: a commit whose fate is unknown must not make the next call compare with what was before it.
func TestWriterAfterDoubt(t *testing.T) {
	for _, written := range []bool{true, false} {
		t.Run(fmt.Sprintf("written=%t", written), func(t *testing.T) {
			f, c, w := newWriter(t)
			if _, err := w.Apply(f.ctx, []store.Write{put("a", "1")}, nil); err != nil {
				t.Fatal(err)
			}
			c.fail, c.failWritten = errUnreachable, written
			if _, err := w.Apply(f.ctx, []store.Write{put("a", "2")}, nil); !errors.Is(err, errUnreachable) {
				t.Fatalf("got %v, want %v", err, errUnreachable)
			}
			if _, err := w.Apply(f.ctx, []store.Write{put("a", "1")}, nil); err != nil {
				t.Fatal(err)
			}
			if e, _ := f.mirror.Snapshot().Get(key("a")); string(e.Content) != "1" {
				t.Errorf("got %s, want 1", e.Content)
			}
		})
	}
}

// TestWriterWaitsForEarlierTerms: a new leader's mirror may lag behind what the old one wrote last.
func TestWriterWaitsForEarlierTerms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flaky *unreliable
		f := start(t, func(s store.Store) store.Store {
			flaky = &unreliable{Store: s}
			return flaky
		})
		f.commit(t, put("a", "1"))
		flaky.broken.Store(true)
		if _, err := f.store.Commit(f.ctx, f.term, store.Batch{Writes: []store.Write{put("a", "2")}}); err != nil {
			t.Fatal(err)
		}
		term, err := f.store.Campaign(f.ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		w := store.NewWriter(f.store, f.mirror, term)
		done := make(chan error)
		go func() {
			_, err := w.Apply(f.ctx, []store.Write{put("a", "1")}, nil)
			done <- err
		}()
		synctest.Wait()
		flaky.broken.Store(false)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if e, _ := f.mirror.Snapshot().Get(key("a")); string(e.Content) != "1" {
			t.Errorf("got %s, want 1", e.Content)
		}
	})
}

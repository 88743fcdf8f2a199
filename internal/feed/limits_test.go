package feed_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// teller is a peer that tells records to a session, which holds all of them.
type teller struct {
	t       *testing.T
	session *feed.Session
	now     time.Time
	batches uint64
}

func newTeller(t *testing.T, ledger *feed.Ledger) *teller {
	p := &teller{t: t, now: time.Unix(0, 0)}
	p.session = feed.NewSession(feed.Config{Ledger: ledger}, p.now)
	t.Cleanup(p.session.Close)
	p.step(feed.Hello{Protocol: feed.Version})
	return p
}

func (p *teller) step(m feed.Message) {
	p.t.Helper()
	if err := p.session.Step(m); err != nil {
		p.t.Fatal(err)
	}
}

// tell tells a batch, and has it applied unless the session ends with it.
func (p *teller) tell(b feed.Batch) error {
	p.batches++
	b.ID = p.batches
	p.session.Tick(p.now)
	if err := p.session.Step(b); err != nil {
		return err
	}
	for _, b := range p.session.Ready().Batches {
		p.session.Applied(b.ID, nil)
	}
	return nil
}

// puts are records with content of a size, named from a number on.
func puts(from, n, size int) feed.Batch {
	var b feed.Batch
	for i := range n {
		r := record.New(record.Key{Kind: "test", Name: fmt.Sprint(from + i)}, fmt.Appendf(nil, "%*d", size, from+i))
		b.Puts = append(b.Puts, &r)
	}
	return b
}

func removals(from, n int) feed.Batch {
	var b feed.Batch
	for i := range n {
		b.Removals = append(b.Removals, feed.Removal{Key: record.Key{Kind: "test", Name: fmt.Sprint(from + i)}})
	}
	return b
}

func TestRecordsHeldOfOnePeer(t *testing.T) {
	other := puts(0, 10, 10)
	for i, r := range other.Puts {
		changed := record.New(r.Key, []byte(fmt.Sprint("changed", i)))
		other.Puts[i] = &changed
	}
	tests := map[string]struct {
		told []feed.Batch
		want int // of the Excess with the last batch; 0 is none
	}{
		"as many as may be":       {[]feed.Batch{puts(0, 5, 10), puts(5, 5, 10)}, 0},
		"one more":                {[]feed.Batch{puts(0, 10, 10), puts(10, 1, 10)}, 11},
		"at once":                 {[]feed.Batch{puts(0, 200, 10)}, 200},
		"the same ones, changed":  {[]feed.Batch{puts(0, 10, 10), other}, 0},
		"in place of others":      {[]feed.Batch{puts(0, 10, 10), removals(0, 3), puts(20, 3, 10)}, 0},
		"large ones":              {[]feed.Batch{puts(0, 3, 3<<10), puts(3, 1, 10)}, 0},
		"one large one too many":  {[]feed.Batch{puts(0, 3, 3<<10), puts(3, 1, 2<<10)}, 11},
		"grown":                   {[]feed.Batch{puts(0, 10, 10), puts(0, 1, 1<<10+1)}, 11},
		"shrunk":                  {[]feed.Batch{puts(0, 5, 2<<10), puts(0, 5, 10), puts(5, 5, 10)}, 0},
		"in place of large ones":  {[]feed.Batch{puts(0, 5, 2<<10), removals(0, 2), puts(5, 4, 10)}, 0},
		"a large one, once again": {[]feed.Batch{puts(0, 1, 6<<10), puts(0, 1, 6<<10), puts(0, 1, 7<<10), puts(1, 3, 10)}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newTeller(t, feed.NewLedger(feed.State{}, nil).Unguarded().Limited(feed.Limits{Records: 10}))
			for i, b := range tt.told {
				err := p.tell(b)
				var excess *feed.Excess
				switch {
				case i < len(tt.told)-1 || tt.want == 0:
					if err != nil {
						t.Fatalf("batch %d: %v, want it taken", i, err)
					}
				case !errors.As(err, &excess) || excess.Told != tt.want || excess.Limit != 10:
					t.Errorf("the last batch: got %v, want an excess of %d over 10", err, tt.want)
				}
			}
		})
	}
}

func TestRecordsHeldOverSessions(t *testing.T) {
	ledger := feed.NewLedger(feed.State{}, nil).Unguarded().Limited(feed.Limits{Records: 10})
	if err := newTeller(t, ledger).tell(puts(0, 10, 10)); err != nil {
		t.Fatal(err)
	}
	var excess *feed.Excess
	if err := newTeller(t, ledger).tell(puts(10, 1, 10)); !errors.As(err, &excess) {
		t.Errorf("in the next session: got %v, want an excess", err)
	}
}

func TestRate(t *testing.T) {
	lists := feed.Lists{Lists: []feed.List{{Keys: make([]record.KeyVersion, 1600)}}}
	tests := map[string]struct {
		told []feed.Message
		want time.Duration // until the next message may be read
	}{
		"what may come at once":  {[]feed.Message{puts(0, 199, 10), puts(200, 99, 10)}, 0},
		"one second's too much":  {[]feed.Message{puts(0, 299, 10), puts(300, 99, 10)}, time.Second},
		"large ones":             {[]feed.Message{puts(0, 299, 10), puts(300, 33, 3<<10)}, time.Second},
		"removals":               {[]feed.Message{puts(0, 299, 10), removals(0, 99)}, time.Second},
		"lists":                  {[]feed.Message{puts(0, 299, 10), lists}, 1010 * time.Millisecond},
		"keys to be sent again":  {[]feed.Message{puts(0, 299, 10), feed.Want{Keys: make([]record.Key, 99)}}, time.Second},
		"comparisons":            {[]feed.Message{feed.Root{}, feed.Root{}}, 2120 * time.Millisecond},
		"anything":               {[]feed.Message{puts(0, 299, 10), feed.Again{}}, 10 * time.Millisecond},
		"more than ever at once": {[]feed.Message{puts(0, 256, 4<<10)}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newTeller(t, feed.NewLedger(feed.State{}, nil).Unguarded().Limited(feed.Limits{Rate: 100, Burst: 300}))
			p.now = time.Unix(1e6, 0)
			p.session.Tick(p.now)
			for _, m := range tt.told {
				if b, ok := m.(feed.Batch); ok {
					if err := p.tell(b); err != nil {
						t.Fatal(err)
					}
					continue
				}
				p.step(m)
			}
			if got := max(0, p.session.Resume().Sub(p.now)); got != tt.want {
				t.Errorf("the next message may be read after %s, want %s", got, tt.want)
			}
		})
	}
}

// TestRateOverSessions holds that a peer which comes anew is not given anew what it may tell at once.
func TestRateOverSessions(t *testing.T) {
	ledger := feed.NewLedger(feed.State{}, nil).Unguarded().Limited(feed.Limits{Rate: 100, Burst: 300})
	for i, want := range []time.Duration{0, time.Second} {
		p := newTeller(t, ledger)
		if err := p.tell(puts(200*i, 198+2*i, 10)); err != nil {
			t.Fatal(err)
		}
		if got := max(0, p.session.Resume().Sub(p.now)); got != want {
			t.Errorf("session %d: the next message may be read after %s, want %s", i, got, want)
		}
	}
}

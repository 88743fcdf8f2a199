package feed_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// end is one end of a pair. Batches wait in todo until apply.
type end struct {
	outbox   *feed.Outbox
	ledger   *feed.Ledger
	fence    feed.Fence
	unsure   bool // its fence allows nothing
	session  *feed.Session
	stats    feed.Stats
	todo     []feed.Batch
	held     map[record.Key]string
	outcomes []feed.Outcome
	ready    feed.Ready // the questions and answers of it, gathered
	reject   map[record.Key]string
}

// pair is two ends with a faultless connection: a sends to b.
type pair struct {
	t    testing.TB
	now  time.Time
	a, b *end
	// log takes the messages, a line for each.
	log strings.Builder
	// slow leaves batches in todo.
	slow bool
}

func newPair(t testing.TB) *pair {
	p := &pair{t: t, now: time.Unix(1_700_000_000, 0)}
	for _, e := range []**end{&p.a, &p.b} {
		*e = &end{outbox: feed.NewOutbox(), ledger: feed.NewLedger(feed.State{}, nil), held: map[record.Key]string{},
			reject: map[record.Key]string{}}
	}
	p.a.outbox.SetComplete(true)
	p.b.outbox.SetComplete(true)
	return p
}

func key(name string) record.Key { return record.Key{Kind: "test", Name: name} }

func put(name, content string) feed.Edit {
	r := record.New(key(name), []byte(content))
	return feed.Put(&r)
}

// connect begins a session, ending the one there is, and lets it come to rest.
func (p *pair) connect() {
	for _, e := range []*end{p.a, p.b} {
		if e.session != nil {
			e.todo = nil
			e.session.Close()
		}
		e.outcomes, e.ready = nil, feed.Ready{}
		e.session = feed.NewSession(feed.Config{Hello: feed.Hello{Role: "test"}, Outbox: e.outbox, Ledger: e.ledger,
			Fence: func() (feed.Fence, bool) { return e.fence, !e.unsure }, Stats: &e.stats}, p.now)
	}
	p.rest()
}

// restart builds b's ledger anew from what it holds and persisted.
func (p *pair) restart(state feed.State) {
	p.b.ledger = feed.NewLedger(state, func(yield func(record.KeyVersion) bool) {
		for k, content := range p.b.held {
			if !yield(record.KeyVersion{Key: k, Version: record.VersionOf([]byte(content))}) {
				return
			}
		}
	})
	p.connect()
}

// rest exchanges messages and applies batches until nothing is left.
func (p *pair) rest() {
	p.t.Helper()
	for range 10_000 {
		busy := p.pass(p.a, p.b, "a → b")
		busy = p.pass(p.b, p.a, "b → a") || busy
		if !p.slow {
			busy = p.apply(p.a) || busy
			busy = p.apply(p.b) || busy
		}
		if !busy {
			return
		}
	}
	p.t.Fatal("messages never end")
}

// wait lets time go by.
func (p *pair) wait(d time.Duration) {
	p.now = p.now.Add(d)
	p.a.session.Tick(p.now)
	p.b.session.Tick(p.now)
	p.rest()
}

func (p *pair) pass(from, to *end, way string) (busy bool) {
	p.t.Helper()
	r := from.session.Ready()
	from.todo = append(from.todo, r.Batches...)
	from.outcomes = append(from.outcomes, r.Outcomes...)
	from.ready.Questions = append(from.ready.Questions, r.Questions...)
	from.ready.Cancelled = append(from.ready.Cancelled, r.Cancelled...)
	from.ready.Answers = append(from.ready.Answers, r.Answers...)
	for _, m := range r.Messages {
		fmt.Fprintf(&p.log, "%s %s\n", way, line(m))
		if err := to.session.Step(copied(m)); err != nil {
			p.t.Fatalf("%s %s: %v", way, line(m), err)
		}
	}
	return len(r.Messages) > 0
}

// apply applies the oldest batch of an end.
func (p *pair) apply(e *end) (busy bool) {
	if len(e.todo) == 0 {
		return false
	}
	b := e.todo[0]
	e.todo = e.todo[1:]
	var rejections []feed.Rejection
	for _, r := range b.Puts {
		if reason, ok := e.reject[r.Key]; ok {
			rejections = append(rejections, feed.Rejection{Key: r.Key, Reason: reason})
			continue
		}
		e.held[r.Key] = string(r.Content)
	}
	for _, r := range b.Removals {
		delete(e.held, r.Key)
	}
	e.session.Applied(b.ID, rejections)
	return true
}

// line is a message in one line.
func line(m feed.Message) string {
	switch m := m.(type) {
	case feed.Root:
		return fmt.Sprintf("Root %d at %v fence %v: %v", m.Round, m.Position, m.Fence, m.Digest)
	case feed.Differ:
		return fmt.Sprintf("Differ %d", m.Round)
	case feed.Lists:
		var keys []string
		for _, l := range m.Lists {
			for _, kv := range l.Keys {
				keys = append(keys, fmt.Sprintf("%d:%s@%.8s", l.Bucket, kv.Key.Name, kv.Version))
			}
		}
		return fmt.Sprintf("Lists %d of %d buckets: %v", m.Round, len(m.Lists), keys)
	case feed.Batch:
		var keys []string
		for _, r := range m.Puts {
			keys = append(keys, "+"+r.Key.Name)
		}
		for _, r := range m.Removals {
			keys = append(keys, fmt.Sprintf("-%s (%s)", r.Key.Name, r.Cause))
		}
		return fmt.Sprintf("Batch %d at %v fence %v: %s", m.ID, m.Position, m.Fence, strings.Join(keys, " "))
	case feed.Refused:
		return fmt.Sprintf("Refused for %s: %s", m.Refusal.Kind, m.Refusal.Reason)
	default:
		return strings.TrimPrefix(fmt.Sprintf("%T%+v", m, m), "feed.")
	}
}

// names are the names of what an end holds, sorted.
func (e *end) names() string {
	var names []string
	for k := range e.held {
		names = append(names, k.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// agree fails the test unless b holds what a sends.
func (p *pair) agree() {
	p.t.Helper()
	if got, want := p.b.ledger.Root(), p.a.outbox.Root(); got != want {
		p.t.Errorf("the receiver's digest is %v, want %v", got, want)
	}
	if !p.a.session.Status().InSync {
		p.t.Errorf("the sender is not in sync: %+v", p.a.session.Status())
	}
}

package tiertest

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/record"
)

// Parent serves one child what is in its Outbox, and keeps what the child reports.
type Parent struct {
	// Outbox is what the child should hold. Its position begins at revision 1 of epoch 7.
	Outbox  *feed.Outbox
	Address string

	source   *identity.Source
	mu       sync.Mutex
	changed  chan struct{}                // closed and replaced at every change
	ledger   *feed.Ledger                 // what is held of the child's reports
	reports  map[record.Key]record.Record // of the child
	outcomes map[record.Key]feed.Outcome
	told     func(feed.Batch)
	link     *feedgrpc.Link
	stop     func()
	revision int64
}

// NewParent starts a parent with a path and the certificate for it, which the test's end stops.
func NewParent(t testing.TB, path string) *Parent {
	t.Helper()
	return NewParentAs(t, Source(t, path))
}

// NewParentAs starts a parent with an identity of its own.
func NewParentAs(t testing.TB, source *identity.Source) *Parent {
	t.Helper()
	p := &Parent{source: source, Outbox: feed.NewOutbox(), Address: "127.0.0.1:0", changed: make(chan struct{}),
		ledger: feed.NewLedger(feed.State{}, nil), reports: map[record.Key]record.Record{}, outcomes: map[record.Key]feed.Outcome{}}
	p.Edit()
	p.Outbox.SetComplete(true)
	p.Start(t)
	t.Cleanup(p.Stop)
	return p
}

// Edit changes what the child should hold, at a new revision.
func (p *Parent) Edit(edits ...feed.Edit) {
	p.mu.Lock()
	p.revision++
	position := feed.Position{Epoch: 7, Revision: p.revision}
	p.mu.Unlock()
	p.Outbox.Update(position, edits...)
}

// Put puts records at a new revision.
func (p *Parent) Put(records ...record.Record) {
	var edits []feed.Edit
	for i := range records {
		edits = append(edits, feed.Put(&records[i]))
	}
	p.Edit(edits...)
}

// Start serves, after Stop at the same address as before.
func (p *Parent) Start(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", p.Address)
	if err != nil {
		t.Fatal(err)
	}
	p.Address = listener.Addr().String()
	feeds := feedgrpc.NewServer(feedgrpc.ServerConfig{Hello: feed.Hello{Role: "parent"}, Log: slog.New(slog.DiscardHandler),
		Accept: func(context.Context, feed.Hello, feedgrpc.Identity) (feedgrpc.Endpoint, error) {
			return p.endpoint(), nil
		}})
	tls := credentials.NewTLS(identity.ServerTLS(p.source, nil, nil))
	server := grpc.NewServer(append(feedgrpc.ServerOptions(feedgrpc.Limits{}), grpc.Creds(tls))...)
	feeds.Register(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	p.stop = func() {
		feeds.Close()
		server.Stop()
		<-done
	}
}

// Told has fn called with every batch of reports, in their order; it must not call the parent. Nil ends that.
func (p *Parent) Told(fn func(feed.Batch)) { p.change(func() { p.told = fn }) }

// Stop ends the session and serves no more.
func (p *Parent) Stop() {
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
}

func (p *Parent) endpoint() feedgrpc.Endpoint {
	return feedgrpc.Endpoint{Outbox: p.Outbox, Ledger: p.ledger,
		Apply: func(_ context.Context, b feed.Batch) ([]feed.Rejection, error) {
			p.change(func() {
				for _, r := range b.Puts {
					p.reports[r.Key] = *r
				}
				for _, r := range b.Removals {
					delete(p.reports, r.Key)
				}
				if p.told != nil {
					p.told(b)
				}
			})
			return nil, nil
		},
		Acked: func(outcomes []feed.Outcome) {
			p.change(func() {
				for _, o := range outcomes {
					p.outcomes[o.Key] = o
				}
			})
		},
		Opened: func(link *feedgrpc.Link) { p.change(func() { p.link = link }) },
		Closed: func(error) { p.change(func() { p.link = nil }) },
		State:  func(feed.Status) { p.change(func() {}) },
	}
}

func (p *Parent) change(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
	close(p.changed)
	p.changed = make(chan struct{})
}

// Await waits until cond holds of the child's reports.
func (p *Parent) Await(t testing.TB, what string, cond func(reports map[record.Key]record.Record) bool) {
	t.Helper()
	await(t, what, func() (bool, <-chan struct{}) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return cond(maps.Clone(p.reports)), p.changed
	})
}

// AwaitStatus waits until the child's report of an application satisfies cond, and returns it.
func (p *Parent) AwaitStatus(t testing.TB, app, what string, cond func(record.Status) bool) record.Status {
	t.Helper()
	var got record.Status
	p.Await(t, what, func(reports map[record.Key]record.Record) bool {
		r, ok := reports[record.Key{Kind: record.KindStatus, Name: app}]
		if !ok {
			return false
		}
		var err error
		if got, err = record.DecodeStatus(r); err != nil {
			t.Fatal(err)
		}
		return cond(got)
	})
	return got
}

// AwaitOutcome waits until the child's last word on a key satisfies cond.
func (p *Parent) AwaitOutcome(t testing.TB, key record.Key, what string, cond func(feed.Outcome) bool) {
	t.Helper()
	await(t, what, func() (bool, <-chan struct{}) {
		p.mu.Lock()
		defer p.mu.Unlock()
		o, ok := p.outcomes[key]
		return ok && cond(o), p.changed
	})
}

// AwaitInSync waits until the child has all that it should hold.
func (p *Parent) AwaitInSync(t testing.TB) {
	t.Helper()
	p.AwaitSession(t, "the child is in sync", func(s feed.Status) bool { return s.InSync })
}

// Connected tells whether the child has a session.
func (p *Parent) Connected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link != nil
}

// AwaitSession waits until there is a session and how it stands satisfies cond.
func (p *Parent) AwaitSession(t testing.TB, what string, cond func(feed.Status) bool) {
	t.Helper()
	await(t, what, func() (bool, <-chan struct{}) {
		p.mu.Lock()
		link, changed := p.link, p.changed
		p.mu.Unlock()
		return link != nil && cond(link.Status()), changed
	})
}

// Ask puts a question to the child.
func (p *Parent) Ask(t testing.TB, kind string, payload []byte) ([]byte, error) {
	t.Helper()
	return p.AskWithin(t, patience, kind, payload)
}

// AskWithin puts a question that must be answered in a time, by those who can.
func (p *Parent) AskWithin(t testing.TB, d time.Duration, kind string, payload []byte) ([]byte, error) {
	t.Helper()
	p.mu.Lock()
	link := p.link
	p.mu.Unlock()
	if link == nil {
		t.Fatal("the child is not connected")
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return link.Ask(ctx, kind, payload)
}

package feedgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func rec(name, content string) *record.Record {
	r := record.New(record.Key{Kind: "test", Name: name}, []byte(content))
	return &r
}

// tier is one end: what it sends, what it holds.
type tier struct {
	outbox *feed.Outbox
	ledger *feed.Ledger

	mu      sync.Mutex // guards all below
	held    map[record.Key]string
	link    *feedgrpc.Link
	closed  int
	applies func(feed.Batch) ([]feed.Rejection, error)
	acked   func([]feed.Outcome)
	fence   func() (feed.Fence, bool)
	// began is told of the beginning of a session, and of the end of its first comparison or of itself.
	began   func(begins bool)
	begins  bool
	changed chan struct{} // closed and replaced with every change
}

func newTier() *tier {
	return &tier{outbox: feed.NewOutbox(), ledger: feed.NewLedger(feed.State{}, nil), held: map[record.Key]string{},
		changed: make(chan struct{})}
}

func (t *tier) touch(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *tier) endpoint() feedgrpc.Endpoint {
	return feedgrpc.Endpoint{
		Outbox: t.outbox, Ledger: t.ledger,
		Apply: t.apply,
		Answer: func(ctx context.Context, q feed.Question) ([]byte, error) {
			switch q.Kind {
			case "echo":
				return q.Payload, nil
			case "hang":
				<-ctx.Done()
				return nil, ctx.Err()
			default:
				return nil, fmt.Errorf("no answer to %s", q.Kind)
			}
		},
		Opened: func(l *feedgrpc.Link) { t.touch(func() { t.link = l; t.begin(true) }) },
		Closed: func(error) { t.touch(func() { t.link = nil; t.closed++; t.begin(false) }) },
		State: func(s feed.Status) {
			t.touch(func() {
				if s.InSync {
					t.begin(false)
				}
			})
		},
		Acked: t.acked,
		Fence: t.fence,
	}
}

func (t *tier) begin(begins bool) {
	if t.began != nil && begins != t.begins {
		t.begins = begins
		t.began(begins)
	}
}

func (t *tier) apply(_ context.Context, b feed.Batch) (rejections []feed.Rejection, err error) {
	t.touch(func() {
		if t.applies != nil {
			rejections, err = t.applies(b)
		}
		if err != nil {
			return
		}
		for _, r := range b.Puts {
			t.held[r.Key] = string(r.Content)
		}
		for _, r := range b.Removals {
			delete(t.held, r.Key)
		}
	})
	return rejections, err
}

// await waits until a condition on the tier holds.
func (t *tier) await(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	deadline := time.After(30 * time.Second)
	for {
		t.mu.Lock()
		ok, changed := holds(), t.changed
		t.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-time.After(50 * time.Millisecond): // conditions on other things than the tier
		case <-deadline:
			tb.Fatalf("waited in vain until %s", what)
		}
	}
}

// hub is a parent with a tier for each child, served on an address that outlives the server.
type hub struct {
	tb       testing.TB
	mu       sync.Mutex // guards children
	children map[string]*tier
	address  string
	stop     func()
	peers    peers

	// endpoint gives the endpoint for a child; nil is the tier's own.
	endpoint  func(path string, child *tier) feedgrpc.Endpoint
	admission feedgrpc.Admission
	limits    feedgrpc.Limits
	stats     *feed.Stats
}

// peers are the addresses that a hub tells its children.
type peers struct {
	mu        sync.Mutex // guards all below
	addresses []string
	changed   chan struct{}
}

func (p *peers) get() ([]string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.addresses, p.changed
}

func (p *peers) set(addresses ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addresses = addresses
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

func newHub(tb testing.TB, paths ...string) *hub {
	h := &hub{tb: tb, children: map[string]*tier{}}
	for _, p := range paths {
		h.children[p] = newTier()
	}
	h.start("127.0.0.1:0")
	tb.Cleanup(func() { h.stop() })
	return h
}

func (h *hub) start(address string) {
	h.tb.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		h.tb.Fatal(err)
	}
	h.address = listener.Addr().String()
	srv := feedgrpc.NewServer(feedgrpc.ServerConfig{
		Hello: feed.Hello{Role: "zone", Path: "zone"},
		Accept: func(_ context.Context, _ feed.Hello, peer feedgrpc.Identity) (feedgrpc.Endpoint, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if child, ok := h.children[peer.Path]; ok {
				if h.endpoint != nil {
					return h.endpoint(peer.Path, child), nil
				}
				return child.endpoint(), nil
			}
			return feedgrpc.Endpoint{}, fmt.Errorf("%s is not in the inventory", peer.Path)
		},
		Peers:     h.peers.get,
		Admission: h.admission,
		Limits:    h.limits,
		Session:   feed.Config{Stats: h.stats},
		Log:       slog.New(slog.DiscardHandler),
	})
	g := grpc.NewServer(feedgrpc.ServerOptions(h.limits)...)
	srv.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(feedgrpc.Listener(listener, h.limits, nil)) }()
	h.stop = func() {
		srv.Close()
		g.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			h.tb.Error(err)
		}
		h.stop = func() {}
	}
}

// dial runs a child until the test ends or stop is called.
func dial(tb testing.TB, child *tier, path string, targets ...string) (stop func()) {
	return dialAs(tb, child.endpoint(), path, targets...)
}

// dialAs runs a child with an endpoint of the test's own.
func dialAs(tb testing.TB, ep feedgrpc.Endpoint, path string, targets ...string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- feedgrpc.Run(ctx, feedgrpc.ClientConfig{Targets: targets,
			Hello: feed.Hello{Role: "cluster", Path: path}, Credentials: insecure.NewCredentials(), Log: slog.New(slog.DiscardHandler)}, ep)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

func TestParentAndChildren(t *testing.T) {
	paths := []string{"a", "b", "c"}
	h := newHub(t, paths...)
	children := map[string]*tier{}
	for i, p := range paths {
		children[p] = newTier()
		for n := range 100 * (i + 1) {
			h.children[p].outbox.Update(feed.Position{Epoch: 1, Revision: 5}, feed.Put(rec(fmt.Sprint("k", n), p)))
		}
		h.children[p].outbox.SetComplete(true)
		children[p].outbox.Edit(feed.Put(rec("status", "of "+p)))
		children[p].outbox.SetComplete(true)
		dial(t, children[p], p, h.address)
	}
	agree := func() {
		t.Helper()
		for _, p := range paths {
			down, up := h.children[p], children[p]
			up.await(t, p+" holds what it should", func() bool { return up.ledger.Root() == down.outbox.Root() })
			down.await(t, p+"'s status is held", func() bool { return down.ledger.Root() == up.outbox.Root() })
		}
	}
	agree()
	if got, want := len(children["b"].held), 200; got != want {
		t.Errorf("b holds %d records, want %d", got, want)
	}
	// The parent goes, both sides change, and it comes back with what it held.
	address := h.address
	h.stop()
	for _, p := range paths {
		h.children[p].outbox.Update(feed.Position{Epoch: 1, Revision: 9}, feed.Put(rec("k1", "new")),
			feed.Remove(rec("k2", "").Key, record.CausePerson))
		children[p].outbox.Edit(feed.Put(rec("status", "later of "+p)))
	}
	h.start(address)
	agree()
	if got, want := children["c"].held[rec("k1", "").Key], "new"; got != want {
		t.Errorf("c holds k1 = %q, want %q", got, want)
	}
	if _, ok := children["c"].held[rec("k2", "").Key]; ok {
		t.Error("c holds k2, want it gone")
	}
	if got, want := children["a"].ledger.State().Floor, (feed.Position{Epoch: 1, Revision: 9}); got != want {
		t.Errorf("a's floor is %v, want %v", got, want)
	}
}

func TestQuestions(t *testing.T) {
	h := newHub(t, "a")
	child := newTier()
	stop := dial(t, child, "a", h.address)
	parent := h.children["a"]
	parent.await(t, "the child is there", func() bool { return parent.link != nil })
	child.await(t, "the parent is there", func() bool { return child.link != nil })
	link := parent.link

	for name, l := range map[string]*feedgrpc.Link{"down": link, "up": child.link} {
		answer, err := l.Ask(context.Background(), "echo", []byte(name))
		if err != nil || string(answer) != name {
			t.Errorf("%s: answer %q, %v, want %q", name, answer, err, name)
		}
		if _, err := l.Ask(context.Background(), "strange", nil); err == nil {
			t.Errorf("%s: a question that nobody knows is answered", name)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := link.Ask(ctx, "hang", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a question that is not answered ends with %v, want the deadline", err)
	}
	if _, err := link.Ask(context.Background(), "echo", make([]byte, feed.MaxPayload+1)); err == nil {
		t.Error("a question larger than the bound is asked")
	}
	// A child that goes ends the questions put to it.
	asked := make(chan error, 1)
	go func() {
		_, err := link.Ask(context.Background(), "hang", nil)
		asked <- err
	}()
	stop()
	if err := <-asked; err == nil {
		t.Error("a dead child answers")
	}
	if _, err := link.Ask(context.Background(), "echo", nil); err == nil {
		t.Error("a dead child answers")
	}
}

func TestChildIsNotAccepted(t *testing.T) {
	h := newHub(t, "a")
	child := newTier()
	dial(t, child, "stranger", h.address)
	dial(t, child, "a", h.address)
	h.children["a"].await(t, "the one that is known is there", func() bool { return h.children["a"].link != nil })
}

func TestNewcomerTakesTheSeat(t *testing.T) {
	h := newHub(t, "a")
	parent := h.children["a"]
	parent.outbox.Edit(feed.Put(rec("k", "v")))
	parent.outbox.SetComplete(true)
	first, second := newTier(), newTier()
	stop := dial(t, first, "a", h.address)
	first.await(t, "the first holds the record", func() bool { return len(first.held) == 1 })
	dial(t, second, "a", h.address)
	second.await(t, "the second holds the record", func() bool { return len(second.held) == 1 })
	first.await(t, "the first is told", func() bool { return first.closed > 0 })
	stop()
}

func TestFailedApplicationIsSentAgain(t *testing.T) {
	h := newHub(t, "a")
	parent, child := h.children["a"], newTier()
	parent.outbox.Edit(feed.Put(rec("k", "v")))
	parent.outbox.SetComplete(true)
	failures := 2
	child.applies = func(b feed.Batch) ([]feed.Rejection, error) {
		if failures--; failures >= 0 {
			return nil, errors.New("disk full")
		}
		return nil, nil
	}
	dial(t, child, "a", h.address)
	child.await(t, "the record is held", func() bool { return len(child.held) == 1 })
	if got, want := child.closed, 2; got != want {
		t.Errorf("%d sessions ended, want %d", got, want)
	}
}

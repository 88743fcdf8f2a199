package children_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// at is where the children are, before their names.
const at = "region/west/zone/"

// parent serves children at an address until the test ends.
type parent struct {
	table   *children.Table
	outbox  *feed.Outbox
	address string
	stop    func()
	ended   chan string // the children whose sessions ended
	watched func(child string)
}

func newParent(t *testing.T, accept func(ctx context.Context, child string) error) *parent {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &parent{table: children.NewTable(), outbox: feed.NewOutbox(), address: listener.Addr().String(),
		ended: make(chan string, 100)}
	cfg := feedgrpc.ServerConfig{Log: slog.New(slog.DiscardHandler), Hello: feed.Hello{Role: "region"},
		Accept: func(ctx context.Context, hello feed.Hello, _ feedgrpc.Identity) (feedgrpc.Endpoint, error) {
			name := strings.TrimPrefix(hello.Path, at)
			if accept != nil {
				if err := accept(ctx, name); err != nil {
					return feedgrpc.Endpoint{}, err
				}
			}
			ep := p.table.Watch(name, feedgrpc.Endpoint{Outbox: p.outbox, Ledger: newLedger(),
				Closed: func(error) { p.ended <- name }})
			if p.watched != nil {
				p.watched(name)
			}
			return ep, nil
		}}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	all := children.Config{Feed: cfg, May: children.Child(question.Path{Region: "west"}),
		Identity: tiertest.Source(t, "region/west"), Mirror: store.NewMirror(mem.New(), cfg.Log)}
	go func() { served <- children.Serve(ctx, listener, all) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(p.stop)
	return p
}

// dial runs a child until the test ends. Its answers are its name.
func dial(t *testing.T, name string, ledger *feed.Ledger, targets ...string) {
	t.Helper()
	tls := credentials.NewTLS(identity.ClientTLS(tiertest.Source(t, at+name), question.Path{Region: "west"}, nil))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- feedgrpc.Run(ctx, feedgrpc.ClientConfig{Targets: targets, Log: slog.New(slog.DiscardHandler), Credentials: tls,
			Hello: feed.Hello{Role: "zone", Path: at + name}}, feedgrpc.Endpoint{Ledger: ledger,
			Answer: func(context.Context, feed.Question) ([]byte, error) { return []byte(name), nil }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func newLedger() *feed.Ledger { return feed.NewLedger(feed.State{}, nil) }

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestSessions(t *testing.T) {
	p := newParent(t, nil)
	p.outbox.SetComplete(true)
	dial(t, "a", newLedger(), p.address)
	names := []string{"a", "b"}
	await(t, "a is in sync", func() bool { return p.table.Sessions(question.TierZone, names)[0].InSync })

	sessions := p.table.Sessions(question.TierZone, names)
	if a := sessions[0]; a.Peer != "zone/a" || !a.Connected || a.Since.IsZero() || a.Pending != 0 || a.Refused != nil {
		t.Errorf("a: got %+v, want zone/a connected with nothing pending", a)
	}
	if b := sessions[1]; b.Peer != "zone/b" || b.Connected || !b.Since.IsZero() {
		t.Errorf("b: got %+v, want zone/b that was never connected", b)
	}
	if !p.table.Connected("a") || p.table.Connected("b") {
		t.Errorf("connected: got a %v, b %v, want a alone", p.table.Connected("a"), p.table.Connected("b"))
	}
	asked := p.table.Children(question.TierZone, names)
	if answer, err := asked[0].Ask(t.Context(), "who", nil); err != nil || string(answer) != "a" {
		t.Errorf("asking a: got %q, %v, want its name", answer, err)
	}
	if asked[1].Ask != nil {
		t.Error("b can be asked, want it not to be")
	}
}

func TestChildThatRefuses(t *testing.T) {
	p := newParent(t, nil)
	p.outbox.SetPosition(feed.Position{Epoch: 1, Revision: 5})
	p.outbox.SetComplete(true)
	dial(t, "a", feed.NewLedger(feed.State{Floor: feed.Position{Epoch: 1, Revision: 9}}, nil), p.address)
	await(t, "a refuses", func() bool { return p.table.Refused("a") != nil })
	if got := p.table.Refused("a"); got.Kind != string(feed.RefusedFloor) || got.Since.IsZero() {
		t.Errorf("refusal: got %+v, want one of the floor with its time", got)
	}
	if got := p.table.Sessions(question.TierZone, []string{"a"})[0].Refused; got == nil {
		t.Error("the session tells no refusal, want one")
	}
	p.outbox.SetPosition(feed.Position{Epoch: 1, Revision: 9})
	await(t, "a takes what it is sent", func() bool { return p.table.Refused("a") == nil })
}

func TestRedirect(t *testing.T) {
	old, owner := newParent(t, nil), newParent(t, nil)
	owner.outbox.Edit(feed.Put(&record.Record{Key: record.Key{Kind: "test", Name: "k"}, Version: record.VersionOf(nil)}))
	ledger := newLedger()
	dial(t, "a", ledger, old.address)
	await(t, "a is there", func() bool { return old.table.Connected("a") })
	old.table.Redirect("b", owner.address, "b was never here")
	old.table.Redirect("a", owner.address, "it was dealt anew")
	await(t, "a is with its owner", func() bool { return owner.table.Connected("a") && ledger.Root() == owner.outbox.Root() })
	if got := <-old.ended; got != "a" {
		t.Errorf("the session that ended: got %s, want a", got)
	}
	if old.table.Connected("a") {
		t.Error("a is connected to its earlier parent still")
	}
}

func TestDismiss(t *testing.T) {
	p := newParent(t, nil)
	for _, name := range []string{"a", "b"} {
		dial(t, name, newLedger(), p.address)
		await(t, name+" is there", func() bool { return p.table.Connected(name) })
	}
	p.table.Dismiss("c", "it was never here")
	p.table.Dismiss("a", "the claims have to be read again")
	if got := <-p.ended; got != "a" {
		t.Errorf("the session that ended: got %s, want a", got)
	}
	await(t, "a is back", func() bool { return p.table.Connected("a") })
	if len(p.ended) > 0 || !p.table.Connected("b") {
		t.Error("b's session ended, too")
	}
}

// TestRedirectOfASessionThatHasYetToBegin holds that a child which was accepted and is redirected before its session
// begins goes where it is sent.
func TestRedirectOfASessionThatHasYetToBegin(t *testing.T) {
	owner := newParent(t, nil)
	old := newParent(t, nil)
	var once sync.Once
	old.watched = func(child string) {
		once.Do(func() { old.table.Redirect(child, owner.address, "it was dealt anew") })
	}
	dial(t, "a", newLedger(), old.address)
	await(t, "a is with its owner", func() bool { return owner.table.Connected("a") })
}

func TestForget(t *testing.T) {
	p := newParent(t, nil)
	dial(t, "a", newLedger(), p.address)
	await(t, "a is there", func() bool { return p.table.Connected("a") })
	p.table.Forget("b", "it was never here")
	p.table.Forget("a", "it is in another zone now")
	if got := <-p.ended; got != "a" {
		t.Errorf("the session that ended: got %s, want a", got)
	}
}

// TestEndOfASessionThatHasYetToBegin holds that a child which was accepted, and is no longer to be before its session
// begins, has that session ended, and comes again.
func TestEndOfASessionThatHasYetToBegin(t *testing.T) {
	ends := map[string]func(*children.Table, string){
		"forgotten": func(table *children.Table, child string) { table.Forget(child, "it is in another zone now") },
		"dismissed": func(table *children.Table, _ string) { table.DismissAll("this replica no longer leads") },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			p := newParent(t, nil)
			var once sync.Once
			p.watched = func(child string) { once.Do(func() { end(p.table, child) }) }
			dial(t, "a", newLedger(), p.address)
			if got := <-p.ended; got != "a" {
				t.Errorf("the session that ended: got %s, want a", got)
			}
			await(t, "a is back", func() bool { return p.table.Connected("a") })
		})
	}
}

func TestServeEndsWhileAChildWaitsToBeAccepted(t *testing.T) {
	waits := make(chan struct{}, 100)
	p := newParent(t, func(ctx context.Context, _ string) error {
		waits <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	dial(t, "a", newLedger(), p.address)
	<-waits
	p.stop()
}

package feedgrpc_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
)

func TestRedirect(t *testing.T) {
	h := newHub(t, "a")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := feedgrpc.NewServer(feedgrpc.ServerConfig{
		Accept: func(context.Context, feed.Hello, feedgrpc.Identity) (feedgrpc.Endpoint, error) {
			return feedgrpc.Endpoint{}, &feedgrpc.Redirect{Address: h.address}
		},
		Log: slog.New(slog.DiscardHandler),
	})
	g := grpc.NewServer()
	elsewhere.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	child := newTier()
	stop := dial(t, child, "a", listener.Addr().String())
	child.await(t, "the child is with the owner", func() bool { return child.link != nil })
	stop()
	elsewhere.Close()
	g.Stop()
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		t.Error(err)
	}
}

func TestRedirectOfALiveSession(t *testing.T) {
	old, owner := newHub(t, "a"), newHub(t, "a")
	for _, h := range []*hub{old, owner} {
		h.children["a"].outbox.Edit(feed.Put(rec("k", "v")))
		h.children["a"].outbox.SetComplete(true)
	}
	child := newTier()
	dial(t, child, "a", old.address)
	child.await(t, "the child holds the record", func() bool { return len(child.held) == 1 })
	owner.children["a"].outbox.Edit(feed.Put(rec("k", "later")))
	old.children["a"].link.Redirect(owner.address, "the zone was dealt anew")
	child.await(t, "the child holds what the owner sends", func() bool { return child.held[rec("k", "").Key] == "later" })
	if got := owner.children["a"].ledger.Root(); got != child.outbox.Root() {
		t.Errorf("the owner holds %v, want %v", got, child.outbox.Root())
	}
}

// TestLearntAddresses holds that a child whose configured parent is gone for good finds the others, which it was told of
// at the beginning or later.
func TestLearntAddresses(t *testing.T) {
	first, second, third := newHub(t, "a"), newHub(t, "a"), newHub(t, "a")
	first.peers.set(first.address, second.address)
	child := newTier()
	dial(t, child, "a", first.address)
	first.children["a"].outbox.Edit(feed.Put(rec("first", "v"))) // comes after the addresses
	first.children["a"].outbox.SetComplete(true)
	child.await(t, "the first's record is held", func() bool { return child.held[rec("first", "").Key] == "v" })
	second.peers.set(second.address)
	first.stop()
	second.children["a"].await(t, "the child is with the second", func() bool { return second.children["a"].link != nil })
	second.peers.set(second.address, third.address)
	second.children["a"].outbox.Edit(feed.Put(rec("second", "v")))
	second.children["a"].outbox.SetComplete(true)
	child.await(t, "the second's record is held", func() bool { return child.held[rec("second", "").Key] == "v" })
	second.stop()
	third.children["a"].await(t, "the child is with the third", func() bool { return third.children["a"].link != nil })
}

// TestNothingLeavesWhileTheFenceDoesNotAllowIt holds that what was made before the fence was lost does not go out after.
func TestNothingLeavesWhileTheFenceDoesNotAllowIt(t *testing.T) {
	h := newHub(t, "a")
	parent, child := h.children["a"], newTier()
	var unsure atomic.Bool
	parent.fence = func() (feed.Fence, bool) { return feed.Fence{Epoch: 1, Fence: 1}, !unsure.Load() }
	parent.outbox.SetComplete(true)
	dial(t, child, "a", h.address)
	child.await(t, "the child is there", func() bool { return child.link != nil && child.link.Status().Heard })
	unsure.Store(true)
	parent.outbox.Edit(feed.Put(rec("k", "v")))
	// The session goes on: a question is answered after the change was seen.
	if _, err := parent.link.Ask(context.Background(), "echo", nil); err != nil {
		t.Error(err)
	}
	child.mu.Lock()
	if len(child.held) != 0 {
		t.Error("a record is sent by a parent that may not send")
	}
	child.mu.Unlock()
	unsure.Store(false)
	child.await(t, "the record is held", func() bool { return len(child.held) == 1 })
}

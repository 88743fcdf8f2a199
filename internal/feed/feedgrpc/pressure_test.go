package feedgrpc_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/feed/feedpb"
	"github.com/meridian-federation/meridian/internal/record"
)

const (
	pressKeys    = 1_000
	pressChanges = 100_000
	pressSize    = 1 << 10 // of a record, in bytes
)

// heap is what is in use, in MiB.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// press makes the changes in all of the outboxes, which share the records.
func press(outboxes ...*feed.Outbox) {
	for n := range pressChanges {
		edit := feed.Put(rec(fmt.Sprint("k", n%pressKeys), fmt.Sprintf("%*d", pressSize, n)))
		for _, o := range outboxes {
			o.Update(feed.Position{Epoch: 1, Revision: int64(n + 1)}, edit)
		}
	}
}

// stalled is a tier's endpoint that applies nothing until its session ends.
func stalled(t *tier) feedgrpc.Endpoint {
	ep := t.endpoint()
	ep.Apply = func(ctx context.Context, _ feed.Batch) ([]feed.Rejection, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return ep
}

// bounded fails the test unless a session's sender holds no more than it may.
func bounded(t *testing.T, link *feedgrpc.Link, growth float64) {
	t.Helper()
	st := link.Status()
	if st.Pending > pressKeys || st.Batches > feed.DefaultWindow {
		t.Errorf("%d keys are pending and %d batches in flight, want at most %d and %d", st.Pending, st.Batches,
			pressKeys, feed.DefaultWindow)
	}
	// The changes are 100 MiB together; what is alive of them is the last of each key and a window of batches.
	if growth > 32 {
		t.Errorf("the heap grew by %.1f MiB, want it bounded by the keys", growth)
	}
	t.Logf("%d keys pending, %d batches in flight, heap %+.1f MiB", st.Pending, st.Batches, growth)
}

// TestStalledChild has one child apply nothing while its siblings are served.
func TestStalledChild(t *testing.T) {
	paths := []string{"stalled", "a", "b", "c"}
	h := newHub(t, paths...)
	var outboxes []*feed.Outbox
	for _, p := range paths {
		h.children[p].outbox.SetComplete(true)
		outboxes = append(outboxes, h.children[p].outbox)
	}
	sleeper := newTier()
	dialAs(t, stalled(sleeper), "stalled", h.address)
	siblings := map[string]*tier{}
	for _, p := range paths[1:] {
		siblings[p] = newTier()
		dial(t, siblings[p], p, h.address)
		siblings[p].await(t, p+" is there", func() bool { return siblings[p].link != nil })
	}
	parent := h.children["stalled"]
	parent.await(t, "the stalled child is there", func() bool { return parent.link != nil })
	before := heap()
	press(outboxes...)
	for p, s := range siblings {
		s.await(t, p+" holds all", func() bool { return s.ledger.Root() == h.children[p].outbox.Root() })
	}
	parent.await(t, "the stalled child has a window", func() bool { return parent.link.Status().Batches == feed.DefaultWindow })
	bounded(t, parent.link, heap()-before)
}

// TestSlowParent has a parent apply nothing of one child's status; its other children's it takes.
func TestSlowParent(t *testing.T) {
	h := newHub(t, "slow", "a")
	h.mu.Lock()
	h.endpoint = func(path string, child *tier) feedgrpc.Endpoint {
		if path == "slow" {
			return stalled(child)
		}
		return child.endpoint()
	}
	h.mu.Unlock()
	slow, sibling := newTier(), newTier()
	slow.outbox.SetComplete(true)
	sibling.outbox.SetComplete(true)
	dial(t, slow, "slow", h.address)
	dial(t, sibling, "a", h.address)
	slow.await(t, "the parent is there", func() bool { return slow.link != nil })
	before := heap()
	press(slow.outbox, sibling.outbox)
	h.children["a"].await(t, "the sibling's status is held", func() bool {
		return h.children["a"].ledger.Root() == sibling.outbox.Root()
	})
	slow.await(t, "the parent has a window", func() bool { return slow.link.Status().Batches == feed.DefaultWindow })
	bounded(t, slow.link, heap()-before)
}

// stranger is a child that speaks the wire form by itself.
func stranger(t *testing.T, address, path string) feedpb.Feed_SessionClient {
	t.Helper()
	stream := mute(t, address)
	hello := &feedpb.Hello{Protocol: feed.Version, Role: "cluster", Path: path, Window: 1 << 16}
	if err := stream.Send(&feedpb.Frame{Message: &feedpb.Frame_Hello{Hello: hello}}); err != nil {
		t.Fatal(err)
	}
	return stream
}

// mute is a child that has said nothing yet.
func mute(t *testing.T, address string) feedpb.Feed_SessionClient {
	t.Helper()
	client, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := feedpb.NewFeedClient(client).Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return stream
}

// differ says, unasked, that the child holds nothing.
func differ(round uint64) []*feedpb.Frame {
	lists := &feedpb.Lists{Round: round}
	for b := range uint32(feed.Buckets) {
		lists.Lists = append(lists.Lists, &feedpb.List{Bucket: b})
	}
	return []*feedpb.Frame{
		{Message: &feedpb.Frame_Differ{Differ: &feedpb.Differ{Round: round, Digests: make([]byte, 16*feed.Buckets)}}},
		{Message: &feedpb.Frame_Lists{Lists: lists}},
	}
}

// TestChildThatReadsNothing has a child that never reads from its connection, while its parent's view changes.
func TestChildThatReadsNothing(t *testing.T) {
	h := newHub(t, "deaf", "a")
	deaf, parent := h.children["deaf"], h.children["a"]
	for n := range pressKeys {
		deaf.outbox.Edit(feed.Put(rec(fmt.Sprint("k", n), "first")))
	}
	deaf.outbox.SetComplete(true)
	parent.outbox.SetComplete(true)
	sibling := newTier()
	dial(t, sibling, "a", h.address)
	stream := stranger(t, h.address, "deaf")
	for _, frame := range differ(1) {
		if err := stream.Send(frame); err != nil {
			t.Fatal(err)
		}
	}
	deaf.await(t, "it is sent a window", func() bool {
		return deaf.link != nil && deaf.link.Status().Batches == feed.DefaultWindow
	})
	before := heap()
	press(deaf.outbox, parent.outbox)
	sibling.await(t, "its sibling holds all", func() bool { return sibling.ledger.Root() == parent.outbox.Root() })
	bounded(t, deaf.link, heap()-before)
}

// TestFloods has children ask for more and more and take nothing of it. Their sessions end, and nobody else's.
func TestFloods(t *testing.T) {
	h := newHub(t, "flood", "a")
	parent := h.children["a"]
	parent.outbox.SetComplete(true)
	sibling := newTier()
	dial(t, sibling, "a", h.address)
	sibling.await(t, "the sibling is there", func() bool { return sibling.link != nil })

	flooded := h.children["flood"]
	payload := make([]byte, 4<<10)
	for name, frame := range map[string]func(n uint64) *feedpb.Frame{
		"questions": func(n uint64) *feedpb.Frame {
			return &feedpb.Frame{Message: &feedpb.Frame_Question{Question: &feedpb.Question{Id: n, Kind: "echo", Payload: payload,
				PatienceNanos: 1e9}}}
		},
		"questions taken back": func(n uint64) *feedpb.Frame {
			if n%2 == 0 {
				return &feedpb.Frame{Message: &feedpb.Frame_Cancel{Cancel: &feedpb.Cancel{Id: n - 1}}}
			}
			return &feedpb.Frame{Message: &feedpb.Frame_Question{Question: &feedpb.Question{Id: n, Kind: "echo", Payload: payload,
				PatienceNanos: 1e9}}}
		},
		"roots": func(n uint64) *feedpb.Frame {
			return &feedpb.Frame{Message: &feedpb.Frame_Root{Root: &feedpb.Root{Round: n, Digest: append(make([]byte, 15), 1)}}}
		},
		"keys that are not there": func(n uint64) *feedpb.Frame {
			want := &feedpb.Want{}
			for i := range 1_000 {
				name := fmt.Sprint("strange", n, i)
				want.Keys = append(want.Keys, &feedpb.Key{Kind: []byte("test"), Name: []byte(name)})
			}
			return &feedpb.Frame{Message: &feedpb.Frame_Want{Want: want}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var sender sync.WaitGroup
			t.Cleanup(sender.Wait) // it ends with the stream, whose own cleanup comes before
			stream := stranger(t, h.address, "flood")
			flooded.await(t, "the child is there", func() bool { return flooded.link != nil })
			before, most := heap(), 0.0
			sender.Go(func() {
				for n := uint64(1); stream.Send(frame(n)) == nil; n++ {
				}
			})
			flooded.await(t, "its session has ended", func() bool {
				most = max(most, heap()-before)
				return flooded.link == nil
			})
			if most > 128 {
				t.Errorf("the heap grew by %.1f MiB meanwhile, want it bounded", most)
			}
			t.Logf("heap %+.1f MiB at most", most)
		})
	}
	parent.outbox.Edit(feed.Put(rec("k", "v")))
	sibling.await(t, "the sibling holds the record", func() bool { return len(sibling.held) == 1 })
	sibling.mu.Lock()
	defer sibling.mu.Unlock()
	if sibling.closed > 0 {
		t.Errorf("the sibling's session ended %d times, want it untouched", sibling.closed)
	}
}

// TestChildThatAsksAgainAndAgain has a child ask for comparisons, and for a record, as fast as it can, and read all.
func TestChildThatAsksAgainAndAgain(t *testing.T) {
	const times = 20_000
	var stats feed.Stats
	h := &hub{tb: t, children: map[string]*tier{"greedy": newTier()}, stats: &stats}
	h.start("127.0.0.1:0")
	t.Cleanup(func() { h.stop() })
	greedy := h.children["greedy"]
	greedy.outbox.Edit(feed.Put(rec("k", "v")))
	greedy.outbox.SetComplete(true)
	stream := stranger(t, h.address, "greedy")
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
		}
	}()
	for _, frame := range differ(1) {
		if err := stream.Send(frame); err != nil {
			t.Fatal(err)
		}
	}
	for range times {
		again := &feedpb.Frame{Message: &feedpb.Frame_Again{Again: &feedpb.Again{}}}
		want := &feedpb.Frame{Message: &feedpb.Frame_Want{Want: &feedpb.Want{Keys: []*feedpb.Key{{Kind: []byte("test"), Name: []byte("k")}}}}}
		for _, frame := range []*feedpb.Frame{again, want} {
			if err := stream.Send(frame); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A question is answered after all that came before it.
	question := &feedpb.Question{Id: 1, Kind: "echo", PatienceNanos: 1e9}
	if err := stream.Send(&feedpb.Frame{Message: &feedpb.Frame_Question{Question: question}}); err != nil {
		t.Fatal(err)
	}
	greedy.await(t, "a window is in flight", func() bool { return greedy.link.Status().Batches == feed.DefaultWindow })
	if got := stats.BatchesSent.Load(); got > feed.DefaultWindow {
		t.Errorf("%d batches were sent, want at most a window of %d", got, feed.DefaultWindow)
	}
	if got := stats.Comparisons.Load(); got > 100 {
		t.Errorf("%d comparisons were begun, want about one a second", got)
	}
	if _, ok := greedy.outbox.Get(record.Key{Kind: "test", Name: "k"}); !ok {
		t.Error("the record is gone")
	}
}

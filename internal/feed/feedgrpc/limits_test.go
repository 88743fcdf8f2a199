package feedgrpc_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/feed/feedpb"
	"github.com/meridian-federation/meridian/internal/record"
)

// soon is a patience that a test waits for, with limits whose other patience it does not.
const soon = 50 * time.Millisecond

// newLimitedHub serves children "wicked" and "a", of which it holds 100 records each, within limits; "a" is connected.
func newLimitedHub(t *testing.T, limits feedgrpc.Limits) (h *hub, wicked *tier, sibling *tier) {
	t.Helper()
	h = &hub{tb: t, limits: limits, children: map[string]*tier{"wicked": newTier(), "a": newTier()}}
	for _, child := range h.children {
		child.ledger = feed.NewLedger(feed.State{}, nil).Unguarded().Limited(feed.Limits{Records: 100})
	}
	h.start("127.0.0.1:0")
	t.Cleanup(func() { h.stop() })
	sibling = newTier()
	sibling.outbox.SetComplete(true)
	dial(t, sibling, "a", h.address)
	sibling.await(t, "the sibling is there", func() bool { return sibling.link != nil })
	return h, h.children["wicked"], sibling
}

// untouched holds that the sibling is served on in the session that it had.
func untouched(t *testing.T, h *hub, sibling *tier) {
	t.Helper()
	parent := h.children["a"]
	parent.outbox.Edit(feed.Put(rec("down", "v")))
	sibling.outbox.Edit(feed.Put(rec("up", "v")))
	sibling.await(t, "the sibling holds its record", func() bool { return len(sibling.held) == 1 })
	parent.await(t, "the sibling's record is held", func() bool { return len(parent.held) == 1 })
	sibling.mu.Lock()
	defer sibling.mu.Unlock()
	if sibling.closed > 0 {
		t.Errorf("the sibling's session ended %d times, want it untouched", sibling.closed)
	}
}

// parting reads a stream to its end: why it ended, and for how long the child is to stay away.
func parting(stream feedpb.Feed_SessionClient) (reason string, stay time.Duration) {
	for {
		frame, err := stream.Recv()
		if err != nil {
			if reason == "" {
				reason = err.Error()
			}
			return reason, stay
		}
		if g := frame.GetGoodbye(); g != nil {
			reason, stay = g.GetReason(), time.Duration(g.GetRetryAfterNanos())
		}
	}
}

func batchFrame(id uint64, n, size int) *feedpb.Frame {
	b := &feedpb.Batch{Id: id}
	for i := range n {
		v := record.VersionOf([]byte{byte(i), byte(i >> 8)})
		b.Puts = append(b.Puts, &feedpb.Record{Key: &feedpb.Key{Kind: []byte("test"), Name: fmt.Append(nil, i)}, Version: v[:],
			Content: make([]byte, size)})
	}
	return &feedpb.Frame{Message: &feedpb.Frame_Batch{Batch: b}}
}

// TestChildThatSaysTooMuch has a child go beyond each bound: it is cut off with the reason, and its sibling is not.
func TestChildThatSaysTooMuch(t *testing.T) {
	long := strings.Repeat("x", 5000)
	key := &feedpb.Key{Kind: []byte("test"), Name: []byte(long)}
	tests := map[string]struct {
		frame *feedpb.Frame
		want  string
		stay  time.Duration
	}{
		"more records than are held of it": {batchFrame(1, 101, 1), "101 records", time.Minute},
		"more content than is held of it":  {batchFrame(1, 20, 6<<10), "120 records, counted once for every KiB", time.Minute},
		"a batch of too many records":      {batchFrame(1, 1025, 1), "a batch of 1025 records and removals is larger than 1024", time.Minute},
		"a record that is too large":       {batchFrame(1, 1, feed.MaxRecord+1), "record test/0: content of 1048577 bytes", time.Minute},
		"a message that is too large":      {batchFrame(1, 3, 900<<10), "received message larger than max", 0},
		"a name that is too long": {&feedpb.Frame{Message: &feedpb.Frame_Want{Want: &feedpb.Want{Keys: []*feedpb.Key{key}}}},
			"a key of 4 and 5000 bytes is longer than", time.Minute},
		"too many addresses": {&feedpb.Frame{Message: &feedpb.Frame_Peers{Peers: &feedpb.Peers{Addresses: make([]string, 257)}}},
			"257 addresses are more than the 256", time.Minute},
		"an address that is too long": {&feedpb.Frame{Message: &feedpb.Frame_Peers{Peers: &feedpb.Peers{Addresses: []string{long}}}},
			"address of 5000 bytes", time.Minute},
		"a kind of question that is too long": {&feedpb.Frame{Message: &feedpb.Frame_Question{Question: &feedpb.Question{Id: 1, Kind: long}}},
			"kind of 5000 bytes", time.Minute},
	}
	h, wicked, sibling := newLimitedHub(t, feedgrpc.Limits{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stream := stranger(t, h.address, "wicked")
			if err := stream.Send(tt.frame); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			reason, stay := parting(stream)
			if !strings.Contains(reason, tt.want) || stay != tt.stay {
				t.Errorf("it is told %q, to stay away for %s; want %q, %s", reason, stay, tt.want, tt.stay)
			}
			wicked.await(t, "its session has ended", func() bool { return wicked.link == nil })
			if len(wicked.held) > 0 {
				t.Errorf("%d of its records are held, want none", len(wicked.held))
			}
		})
	}
	untouched(t, h, sibling)
}

// TestBadHello has a child say of itself more than it may, or nothing.
func TestBadHello(t *testing.T) {
	long := strings.Repeat("x", 5000)
	tests := map[string]struct {
		first *feedpb.Frame
		want  string
	}{
		"too long a path":    {&feedpb.Frame{Message: &feedpb.Frame_Hello{Hello: &feedpb.Hello{Protocol: 1, Path: long}}}, "path of 5000 bytes"},
		"too long a role":    {&feedpb.Frame{Message: &feedpb.Frame_Hello{Hello: &feedpb.Hello{Protocol: 1, Role: long}}}, "role of 5000 bytes"},
		"too long a release": {&feedpb.Frame{Message: &feedpb.Frame_Hello{Hello: &feedpb.Hello{Protocol: 1, Release: long}}}, "release of 5000 bytes"},
		"another message":    {&feedpb.Frame{Message: &feedpb.Frame_Again{Again: &feedpb.Again{}}}, "came before Hello"},
		"none":               {nil, "no Hello came in time"},
	}
	h, _, sibling := newLimitedHub(t, feedgrpc.Limits{Hello: soon})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stream := mute(t, h.address)
			if tt.first != nil {
				if err := stream.Send(tt.first); err != nil {
					t.Fatal(err)
				}
			}
			if reason, _ := parting(stream); !strings.Contains(reason, tt.want) {
				t.Errorf("it is told %q, want %q", reason, tt.want)
			}
		})
	}
	untouched(t, h, sibling)
}

// TestChildThatComesTooOften has a child come again and again: it is told to stay away, and its sibling is not.
func TestChildThatComesTooOften(t *testing.T) {
	h, _, sibling := newLimitedHub(t, feedgrpc.Limits{})
	var reason string
	var stay time.Duration
	for n := 0; stay == 0 && n < 1000; n++ {
		stream := stranger(t, h.address, "wicked")
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		reason, stay = parting(stream)
	}
	if !strings.Contains(reason, "it comes too often") || stay != time.Second {
		t.Errorf("it is told %q, to stay away for %s; want that it comes too often", reason, stay)
	}
	untouched(t, h, sibling)
}

// wire is a connection that keeps to HTTP/2, and not to manners.
type wire struct {
	net.Conn
	*http2.Framer
}

func dialWire(t *testing.T, address string) wire {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return wire{conn, http2.NewFramer(conn, conn)}
}

func (w wire) greet(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(w, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.WriteSettings(), w.WriteSettingsAck()); err != nil {
		t.Fatal(err)
	}
}

// read reads frames until one satisfies a condition or the connection ends.
func (w wire) read(cond func(http2.Frame) bool) error {
	for {
		f, err := w.ReadFrame()
		if err != nil {
			return err
		}
		if cond(f) {
			return nil
		}
	}
}

// TestSilentConnections has newcomers say nothing: their connections are closed.
func TestSilentConnections(t *testing.T) {
	tests := map[string]struct {
		limits feedgrpc.Limits
		greets bool
	}{
		"before HTTP/2":    {feedgrpc.Limits{Handshake: soon}, false},
		"without a stream": {feedgrpc.Limits{Idle: soon}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, _, sibling := newLimitedHub(t, tt.limits)
			conn := dialWire(t, h.address)
			if tt.greets {
				conn.greet(t)
			}
			if _, err := io.Copy(io.Discard, conn); timedOut(err) {
				t.Errorf("the connection ends with %v, want it closed by the server", err)
			}
			untouched(t, h, sibling)
		})
	}
}

// timedOut tells whether an error is the connection's own deadline.
func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// TestPingsThatComeTooOften has a child ping as fast as it can.
func TestPingsThatComeTooOften(t *testing.T) {
	h, _, sibling := newLimitedHub(t, feedgrpc.Limits{Pings: time.Hour})
	conn := dialWire(t, h.address)
	conn.greet(t)
	for range 5 {
		if err := conn.WritePing(false, [8]byte{}); err != nil {
			t.Fatal(err)
		}
	}
	var code http2.ErrCode
	err := conn.read(func(f http2.Frame) bool {
		away, ok := f.(*http2.GoAwayFrame)
		if ok {
			code = away.ErrCode
		}
		return ok
	})
	if err != nil || code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("it is told %v, %v, want to calm down", code, err)
	}
	untouched(t, h, sibling)
}

// TestStreamsOfOneConnection has a child open more streams than it may, whatever the server says.
func TestStreamsOfOneConnection(t *testing.T) {
	h, _, sibling := newLimitedHub(t, feedgrpc.Limits{Streams: 2})
	conn := dialWire(t, h.address)
	conn.greet(t)
	var block bytes.Buffer
	headers := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"},
		{Name: ":path", Value: feedpb.Feed_Session_FullMethodName}, {Name: ":authority", Value: "hub"},
		{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"}} {
		if err := headers.WriteField(f); err != nil {
			t.Fatal(err)
		}
	}
	for id := range uint32(3) {
		if err := conn.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*id + 1, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
			t.Fatal(err)
		}
	}
	var refused uint32
	err := conn.read(func(f http2.Frame) bool {
		reset, ok := f.(*http2.RSTStreamFrame)
		if ok && reset.ErrCode == http2.ErrCodeRefusedStream {
			refused = reset.StreamID
		}
		return ok
	})
	if err != nil || refused != 5 {
		t.Errorf("stream %d was refused, %v, want the third", refused, err)
	}
	untouched(t, h, sibling)
}

// TestConnectionsAtOnce has strangers take all places: the next waits for one to go.
func TestConnectionsAtOnce(t *testing.T) {
	h, _, sibling := newLimitedHub(t, feedgrpc.Limits{Connections: 3, Idle: time.Hour, Handshake: time.Hour})
	first, second, third := dialWire(t, h.address), dialWire(t, h.address), dialWire(t, h.address)
	first.greet(t)
	second.greet(t)
	settings := func(f http2.Frame) bool { return f.Header().Type == http2.FrameSettings }
	if err := errors.Join(first.read(settings), second.read(settings)); err != nil {
		t.Fatal(err)
	}
	third.greet(t)
	if err := third.SetReadDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	if err := third.read(settings); !timedOut(err) {
		t.Fatalf("the one beyond the bound is answered (%v), want it to wait", err)
	}
	if err := errors.Join(first.Close(), third.SetReadDeadline(time.Now().Add(30*time.Second))); err != nil {
		t.Fatal(err)
	}
	if err := third.read(settings); err != nil {
		t.Errorf("once there is room, it is not served: %v", err)
	}
	untouched(t, h, sibling)
}

package feedgrpc

import (
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedpb"
	"github.com/meridian-federation/meridian/internal/record"
)

// messages are one of each kind, every field set.
func messages() []feed.Message {
	k, v := record.Key{Kind: "test", Name: "a/b"}, record.VersionOf([]byte("1"))
	p, f := feed.Position{Epoch: 1 << 63, Revision: 7}, feed.Fence{Epoch: 1 << 63, Fence: 8}
	rejections := []feed.Rejection{{Key: k, Version: v, Reason: "Invalid", Message: "not so"}, {Key: k}}
	digests := &[feed.Buckets]feed.Digest{3: {Hi: 1, Lo: 2}}
	return []feed.Message{
		feed.Hello{Protocol: 1, Role: "zone", Path: "region/west", Release: "v1", Window: 4},
		feed.Goodbye{Reason: "enough", Redirect: "there:1", RetryAfter: time.Second},
		feed.Peers{Addresses: []string{"here:1", "there:1"}},
		feed.Root{Round: 1, Digest: feed.Digest{Hi: 1, Lo: 2}, Position: p, Fence: f},
		feed.Equal{Round: 1},
		feed.Differ{Round: 1, Digests: digests},
		feed.Select{Round: 1, Buckets: []int{0, 1023}},
		feed.Lists{Round: 1, Lists: []feed.List{{Bucket: 5, Keys: []record.KeyVersion{{Key: k, Version: v}, {Key: k}}}}},
		feed.Batch{ID: 1, Puts: []*record.Record{{Key: k, Version: v, Content: []byte("1")}}, Position: p, Fence: f,
			Removals: []feed.Removal{{Key: k, Cause: record.CauseFound}, {Key: k, Cause: record.CauseScope}, {Key: k, Cause: record.CausePerson}}},
		feed.Ack{ID: 1, Rejected: rejections, Held: []record.Key{k}},
		feed.Report{Rejected: rejections, Accepted: []record.KeyVersion{{Key: k, Version: v}}},
		feed.Again{},
		feed.Want{Keys: []record.Key{k}},
		feed.Refused{Refusal: feed.Refusal{Kind: feed.RefusedFloor, Reason: "old", Position: p, Fence: f, Floor: p, Highest: f}},
		feed.Question{ID: 1, Kind: "plan", Payload: []byte("p"), Patience: time.Second},
		feed.Cancel{ID: 1},
		feed.Answer{ID: 1, Payload: []byte("p"), Error: "e"},
	}
}

func TestWireForm(t *testing.T) {
	for _, want := range messages() {
		b, err := proto.Marshal(encode(want))
		if err != nil {
			t.Fatalf("%T: %v", want, err)
		}
		var frame feedpb.Frame
		if err := proto.Unmarshal(b, &frame); err != nil {
			t.Fatalf("%T: %v", want, err)
		}
		got, err := decode(&frame)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%T comes back as %+v, %v, want %+v", want, got, err, want)
		}
	}
}

func TestUnknownMessageIsPassedOver(t *testing.T) {
	var frame feedpb.Frame
	if err := proto.Unmarshal([]byte{0xba, 0x3f, 0x00}, &frame); err != nil { // field 1015, a message of a later release
		t.Fatal(err)
	}
	if m, err := decode(&frame); m != nil || err != nil {
		t.Errorf("got %v, %v, want nothing", m, err)
	}
}

func TestTextNeedNotBeUTF8(t *testing.T) {
	if _, err := proto.Marshal(encode(feed.Answer{Error: "caf\xe9"})); err != nil {
		t.Error(err)
	}
	if _, err := proto.Marshal(encode(feed.Peers{Addresses: []string{"caf\xe9:80"}})); err != nil {
		t.Error(err)
	}
	if _, err := proto.Marshal(encode(feed.Want{Keys: []record.Key{{Kind: "x", Name: "caf\xe9"}}})); err != nil {
		t.Error(err)
	}
}

func TestPeersAreNoMoreThanOneMayName(t *testing.T) {
	m, err := decode(encode(feed.Peers{Addresses: make([]string, maxPeers+1)}))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(m.(feed.Peers).Addresses); got != maxPeers {
		t.Errorf("%d addresses are told, want %d", got, maxPeers)
	}
}

// FuzzDecode holds that no bytes break the decoder or a session, and that what is decoded has a wire form.
func FuzzDecode(f *testing.F) {
	for _, m := range messages() {
		b, err := proto.Marshal(encode(m))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var frame feedpb.Frame
		if proto.Unmarshal(b, &frame) != nil {
			return
		}
		m, err := decode(&frame)
		if m == nil || err != nil {
			return
		}
		if again, err := decode(encode(m)); err != nil || again == nil {
			t.Fatalf("%T comes back as %v, %v", m, again, err)
		}
		outbox := feed.NewOutbox()
		outbox.Edit(feed.Put(&record.Record{Key: record.Key{Kind: "test", Name: "a"}, Version: record.VersionOf(nil)}))
		outbox.SetComplete(true)
		s := feed.NewSession(feed.Config{Outbox: outbox, Ledger: feed.NewLedger(feed.State{}, nil)}, time.Unix(0, 0))
		defer s.Close()
		if err := s.Step(feed.Hello{Protocol: 1}); err != nil {
			t.Fatal(err)
		}
		s.Ready()
		_ = s.Step(m) // an error ends the session, nothing worse happens
		s.Tick(time.Unix(1, 0))
		for _, m := range s.Ready().Messages {
			if _, err := proto.Marshal(encode(m)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

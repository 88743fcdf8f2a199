package feed_test

import (
	"flag"
	"os"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestTranscript holds the messages of a session's typical turns against testdata/transcript.txtar.
func TestTranscript(t *testing.T) {
	const golden = "testdata/transcript.txtar"
	p := newPair(t)
	var got txtar.Archive
	got.Comment = []byte("The messages between two ends, a sending and b receiving; made by go test -run TestTranscript -update.\n\n")
	turn := func(name string, do func()) {
		p.log.Reset()
		do()
		got.Files = append(got.Files, txtar.File{Name: name, Data: []byte(p.log.String())})
	}
	at := func(revision int64) feed.Position { return feed.Position{Epoch: 0xe, Revision: revision} }

	p.a.fence = feed.Fence{Epoch: 0xe, Fence: 3}
	p.a.outbox.Update(at(7), put("blue", "1"), put("green", "1"), put("red", "1"))
	turn("first session", p.connect)
	turn("a change, idle", func() { p.a.outbox.Update(at(8), put("green", "2")); p.rest() })
	turn("a removal and an addition", func() {
		p.a.outbox.Update(at(9), put("yellow", "1"), feed.Remove(key("red"), record.CausePerson))
		p.rest()
	})
	turn("session again, nothing changed", p.connect)
	p.a.outbox.Update(at(12), put("blue", "3"), feed.Remove(key("green"), record.CauseScope))
	turn("session again, after changes", p.connect)
	turn("a rejection", func() {
		p.b.reject[key("white")] = "Invalid"
		p.a.outbox.Update(at(13), put("white", "1"))
		p.rest()
	})
	turn("session again, told of the rejection", p.connect)
	turn("it takes effect after all", func() {
		p.b.ledger.Accept(record.KeyVersion{Key: key("white"), Version: record.VersionOf([]byte("1"))})
		p.rest()
	})
	turn("a key is wanted again", func() { p.b.ledger.Forget(key("blue")); p.rest() })
	turn("routine comparison", func() { p.wait(feed.DefaultCompareEvery) })
	p.a.outbox.SetPosition(at(11))
	turn("a sender that lags", p.connect)
	turn("it catches up", func() { p.a.outbox.Update(at(14), put("black", "1")); p.wait(time.Second) })
	p.a.fence.Fence = 2
	turn("an earlier owner", p.connect)

	if *update {
		if err := os.WriteFile(golden, txtar.Format(&got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(txtar.Format(&got)) != string(want) {
		t.Errorf("the transcript is not %s (see -update); got:\n%s", golden, txtar.Format(&got))
	}
}

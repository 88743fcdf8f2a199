package feed_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

func TestSlowReceiverCostsASetOfKeys(t *testing.T) {
	p := newPair(t)
	p.connect()
	p.slow = true
	for n := range 2000 {
		p.a.outbox.Edit(put(fmt.Sprint("k", n%10), fmt.Sprint(n)))
		p.rest()
	}
	st := p.a.session.Status()
	if st.Batches != feed.DefaultWindow || st.Pending > 10 {
		t.Errorf("%d batches and %d keys wait, want %d and at most 10", st.Batches, st.Pending, feed.DefaultWindow)
	}
	if got := p.a.stats.BatchesSent.Load(); got != feed.DefaultWindow {
		t.Errorf("%d batches were sent, want %d", got, feed.DefaultWindow)
	}
	p.wait(2 * feed.DefaultCompareEvery)
	if strings.Contains(p.log.String(), "a → b Root 2") {
		t.Error("a comparison began with batches in flight")
	}
	p.slow = false
	p.rest()
	if got, want := p.b.held[key("k9")], "1999"; got != want {
		t.Errorf("k9 is %q, want the latest, %q", got, want)
	}
	if got := p.a.stats.RecordsSent.Load(); got > 2*10+feed.DefaultWindow {
		t.Errorf("%d records were sent for 2000 changes of 10 keys, want a few", got)
	}
	p.agree()
}

func TestBatchBounds(t *testing.T) {
	kib := func(n int) string { return strings.Repeat("x", n<<10) }
	cases := map[string]struct {
		sizes []int // KiB of each record
		want  []int // records in each batch
	}{
		"many small":              {sizes: make([]int, 600), want: []int{256, 256, 88}},
		"bytes":                   {sizes: []int{200, 200, 200, 200}, want: []int{2, 2}},
		"one larger than a batch": {sizes: []int{100, 900, 100}, want: []int{1, 1, 1}},
		"one too large":           {sizes: []int{1, 1025, 1}, want: []int{2}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			for i, size := range c.sizes {
				p.a.outbox.Edit(put(fmt.Sprintf("k%03d", i), fmt.Sprint(i, kib(size))))
			}
			p.slow = true
			p.connect()
			var got []int
			for len(p.b.todo) > 0 {
				got = append(got, len(p.b.todo[0].Puts))
				p.apply(p.b)
				p.rest()
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("batches of %v records, want %v", got, c.want)
			}
			rejected := 0
			for _, o := range p.a.outcomes {
				if o.Rejection != nil && o.Rejection.Reason == "TooLarge" {
					rejected++
				}
			}
			if want := strings.Count(name, "too large"); rejected != want {
				t.Errorf("%d records were too large, want %d", rejected, want)
			}
		})
	}
}

func TestDifferenceIsSentByRank(t *testing.T) {
	p := newPair(t)
	rank := func(k record.Key) int { return int(k.Name[0]) }
	p.a.outbox.Edit(put("2a", ""), put("1b", ""), put("3a", ""), put("1a", ""))
	p.b.ledger = feed.NewLedger(feed.State{}, slices.Values([]record.KeyVersion{
		{Key: key("2x"), Version: record.VersionOf(nil)}, {Key: key("1x"), Version: record.VersionOf(nil)},
		{Key: key("3y"), Version: record.VersionOf(nil)}}))
	p.slow = true
	p.connect()
	p.a.session.Close()
	p.a.session = feed.NewSession(feed.Config{Outbox: p.a.outbox, Ledger: p.a.ledger, Rank: rank}, p.now)
	p.b.session.Close()
	p.b.todo = nil
	p.b.session = feed.NewSession(feed.Config{Outbox: p.b.outbox, Ledger: p.b.ledger}, p.now)
	p.rest()
	var got []string
	for _, r := range p.b.todo[0].Puts {
		got = append(got, r.Key.Name)
	}
	for _, r := range p.b.todo[0].Removals {
		got = append(got, "-"+r.Key.Name)
	}
	if want := "1a 1b 2a 3a -3y -2x -1x"; strings.Join(got, " ") != want {
		t.Errorf("sent %q, want %q", strings.Join(got, " "), want)
	}
}

func TestIncompleteOutbox(t *testing.T) {
	p := newPair(t)
	p.a.outbox.Edit(put("gone", "1"), put("same", "1"), put("changed", "1"))
	p.connect()
	sent := p.a.stats.RecordsSent.Load()

	p.a.outbox = feed.NewOutbox() // the sender's process starts anew
	p.connect()
	if got, want := p.b.names(), "changed gone same"; got != want {
		t.Errorf("before the sender knows anything: held %q, want %q", got, want)
	}
	p.a.outbox.Edit(put("same", "1"), put("changed", "2"))
	p.rest()
	if got, want := p.a.stats.RecordsSent.Load()-sent, int64(1); got != want {
		t.Errorf("%d records were sent, want %d: what is held at the same version is not", got, want)
	}
	if got, want := p.b.names(), "changed gone same"; got != want {
		t.Errorf("before the sender knows all: held %q, want %q", got, want)
	}
	p.a.outbox.SetComplete(true)
	p.rest()
	if got, want := p.b.names(), "changed same"; got != want {
		t.Errorf("held %q, want %q", got, want)
	}
	p.agree()
}

func TestSilentDivergenceIsRepaired(t *testing.T) {
	p := newPair(t)
	p.fill(50)
	p.connect()
	p.b.ledger.Corrupt(record.KeyVersion{Key: key("strange"), Version: record.VersionOf([]byte("?"))})
	p.b.ledger.Corrupt(record.KeyVersion{Key: key("k007"), Version: record.VersionOf([]byte("?"))})
	p.wait(feed.DefaultCompareEvery)
	p.agree()
	if got, want := p.a.stats.Mismatches.Load(), int64(2); got != want {
		t.Errorf("%d mismatches were counted, want %d", got, want)
	}
	if got, want := p.a.stats.Repairs.Load(), int64(2); got != want {
		t.Errorf("%d repairs were counted, want %d", got, want)
	}
}

func TestLongListsComeInParts(t *testing.T) {
	p := newPair(t)
	for i := range 20_000 {
		p.a.outbox.Edit(put(fmt.Sprintf("a/rather/long/name/of/an/object/number-%d", i), "1"))
	}
	p.connect()
	for i := range 20_000 {
		p.a.outbox.Edit(put(fmt.Sprintf("a/rather/long/name/of/an/object/number-%d", i), "2"))
	}
	p.log.Reset()
	p.connect()
	p.agree()
	if got := strings.Count(p.log.String(), "Lists"); got < 4 || got > 20 {
		t.Errorf("the lists came in %d messages, want several", got)
	}
}

func TestOutcomesAreToldAnew(t *testing.T) {
	p := newPair(t)
	p.b.reject[key("bad")] = "Invalid"
	p.a.outbox.Edit(put("good", "1"), put("bad", "1"))
	p.connect()
	p.connect()
	var got []string
	for _, o := range p.a.outcomes {
		got = append(got, fmt.Sprintf("%s found %v rejected %v", o.Key.Name, o.Found, o.Rejection != nil))
	}
	slices.Sort(got)
	if want := []string{"bad found false rejected true", "good found true rejected false"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if got := p.a.session.Status().Rejected; got != 1 {
		t.Errorf("%d keys are rejected, want 1", got)
	}
}

func TestProtocolErrors(t *testing.T) {
	hello := feed.Hello{Protocol: 1}
	cases := map[string][]feed.Message{
		"nothing before Hello": {feed.Root{}},
		"no version":           {feed.Hello{}},
		"a batch is missing":   {hello, feed.Batch{ID: 2}},
		"more than the window": {hello, feed.Batch{ID: 1}, feed.Batch{ID: 2}, feed.Batch{ID: 3}, feed.Batch{ID: 4}, feed.Batch{ID: 5}},
		"goodbye":              {feed.Goodbye{Reason: "closed"}},
	}
	for name, messages := range cases {
		t.Run(name, func(t *testing.T) {
			s := feed.NewSession(feed.Config{Outbox: feed.NewOutbox(), Ledger: feed.NewLedger(feed.State{}, nil)}, time.Now())
			var err error
			for _, m := range messages {
				if err != nil {
					t.Fatalf("%v before the last message", err)
				}
				err = s.Step(m)
			}
			if err == nil {
				t.Error("no error, want one")
			}
		})
	}
}

func TestLaterSessionTakesTheLedger(t *testing.T) {
	l := feed.NewLedger(feed.State{}, nil)
	first := feed.NewSession(feed.Config{Ledger: l}, time.Now())
	second := feed.NewSession(feed.Config{Ledger: l}, time.Now())
	for _, s := range []*feed.Session{first, second} {
		if err := s.Step(feed.Hello{Protocol: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Step(feed.Batch{ID: 1}); !errors.Is(err, feed.ErrSuperseded) {
		t.Errorf("the first session's batch: %v, want %v", err, feed.ErrSuperseded)
	}
	if err := second.Step(feed.Batch{ID: 1}); err != nil {
		t.Errorf("the second session's batch: %v", err)
	}
}

func TestEndThatTakesNoRecords(t *testing.T) {
	p := newPair(t)
	p.a.outbox.Edit(put("k", "1"))
	p.b.ledger = nil
	p.connect()
	if by := p.a.session.Status().RefusedBy; by == nil || by.Kind != feed.RefusedRole {
		t.Errorf("refused by %+v, want the role", by)
	}
}

func TestQuestions(t *testing.T) {
	p := newPair(t)
	p.connect()
	ask := func(kind string) uint64 {
		t.Helper()
		id, err := p.a.session.Ask(kind, []byte("payload"), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	good, bad, late, taken := ask("good"), ask("bad"), ask("late"), ask("taken back")
	p.rest()
	if got := p.b.ready.Questions; len(got) != 4 || got[0].Kind != "good" || string(got[0].Payload) != "payload" {
		t.Fatalf("asked %+v, want the four", got)
	}
	p.b.session.Answer(good, []byte("yes"), nil)
	p.b.session.Answer(bad, nil, errors.New("no idea"))
	p.a.session.Cancel(taken)
	p.rest()
	p.wait(2 * time.Minute)
	p.b.session.Answer(late, []byte("too late"), nil)
	p.b.session.Answer(taken, []byte("not wanted"), nil)
	p.rest()
	want := []feed.Answer{{ID: good, Payload: []byte("yes")}, {ID: bad, Error: "no idea"}, {ID: late, Error: "no answer in time"}}
	if got := p.a.ready.Answers; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("answers %v, want %v", got, want)
	}
	if got := p.b.ready.Cancelled; !slices.Equal(got, []uint64{taken, late}) {
		t.Errorf("taken back %v, want %v", got, []uint64{taken, late})
	}
	huge := ask("huge")
	p.rest()
	p.b.session.Answer(huge, make([]byte, feed.MaxPayload+1), nil)
	p.rest()
	if got := p.a.ready.Answers[3]; got.Error == "" || got.Payload != nil {
		t.Errorf("a huge answer came as %d bytes, want an error", len(got.Payload))
	}
	for range 64 {
		ask("many")
	}
	if _, err := p.a.session.Ask("one more", nil, time.Minute); !errors.Is(err, feed.ErrBusy) {
		t.Errorf("one question too many: %v, want %v", err, feed.ErrBusy)
	}
}

// A holder that finds an object drifted while the batch that applied it is not acknowledged yet is sent it again.
func TestForgottenWhileApplied(t *testing.T) {
	p := newPair(t)
	p.connect()
	p.slow = true
	p.a.outbox.Edit(put("k", "1"))
	p.rest()
	batch := p.b.todo[0]
	p.b.todo = nil
	p.b.ledger.Forget(key("k"))
	p.b.session.Applied(batch.ID, nil)
	p.slow = false
	p.rest()
	if got, want := p.b.names(), "k"; got != want {
		t.Errorf("held %q, want %q", got, want)
	}
	p.agree()
}

func TestUnguardedLedger(t *testing.T) {
	p := newPair(t)
	p.b.ledger.Unguarded()
	p.fill(100)
	p.connect()
	p.drop(0, 100, record.CauseFound)
	if got := len(p.b.held); got != 0 {
		t.Errorf("%d records are held, want none", got)
	}
	p.agree()
}

func TestNothingIsSentWhileTheFenceDoesNotAllowIt(t *testing.T) {
	p := newPair(t)
	p.a.unsure = true
	p.a.outbox.Edit(put("red", "1"))
	p.connect()
	p.wait(time.Minute)
	if got := p.b.names(); got != "" {
		t.Errorf("the receiver holds %q before its sender may send, want nothing", got)
	}
	p.a.unsure = false
	p.wait(time.Second)
	p.agree()

	p.a.unsure = true
	p.a.outbox.Edit(put("blue", "1"))
	p.rest()
	p.wait(2 * feed.DefaultCompareEvery)
	if got, want := p.b.names(), "red"; got != want {
		t.Errorf("the receiver holds %q while its sender may not send, want %q", got, want)
	}
	if st := p.a.session.Status(); st.InSync || st.Pending != 1 {
		t.Errorf("the sender that may not send: got %+v, want one key pending", st)
	}
	p.a.unsure = false
	p.wait(time.Second)
	p.agree()
	if strings.Count(p.log.String(), "Told") != 2 {
		t.Errorf("messages:\n%s\nwant each end told once", p.log.String())
	}
}

// TestDeadline holds that an idle session has nothing to do before the next comparison, whatever time goes by.
func TestDeadline(t *testing.T) {
	p := newPair(t)
	p.fill(3)
	p.connect()
	at, ok := p.a.session.Deadline()
	if want := p.now.Add(feed.DefaultCompareEvery); !ok || !at.Equal(want) {
		t.Errorf("idle: got %v (%v), want the next comparison at %v", at, ok, want)
	}
	if _, err := p.a.session.Ask("slow", nil, time.Second); err != nil {
		t.Fatal(err)
	}
	if at, _ := p.a.session.Deadline(); !at.Equal(p.now.Add(time.Second)) {
		t.Errorf("with a question open: got %v, want its end at %v", at, p.now.Add(time.Second))
	}
	p.wait(time.Second)
	p.a.unsure = true
	p.a.outbox.Edit(put("red", "1"))
	p.rest()
	if at, _ := p.a.session.Deadline(); !at.Equal(p.now.Add(feed.HoldPause)) {
		t.Errorf("unsure: got %v, want %v", at, p.now.Add(feed.HoldPause))
	}
}

// TestCongestedSessionTakesNothingNew holds that what is new stays a set of keys while the peer takes nothing.
func TestCongestedSessionTakesNothingNew(t *testing.T) {
	p := newPair(t)
	p.fill(100)
	p.connect()
	p.a.session.Congest(true)
	p.b.session.Congest(true)
	for n := range 10_000 {
		p.a.outbox.Edit(put(fmt.Sprint("k", n%10), fmt.Sprint(n)))
		p.b.ledger.Forget(key(fmt.Sprintf("k%03d", n%50)))
		p.b.ledger.Reject(feed.Rejection{Key: key("k075"), Version: record.VersionOf([]byte("x")), Reason: fmt.Sprint(n)})
		if a, b := p.a.session.Ready().Messages, p.b.session.Ready().Messages; len(a)+len(b) > 0 {
			t.Fatalf("congested ends say %v and %v, want nothing", a, b)
		}
	}
	p.a.session.Congest(false)
	p.b.session.Congest(false)
	if got := len(p.b.session.Ready().Messages); got > 2 {
		t.Errorf("the receiver says %d messages of 100 keys, want at most 2", got)
	}
	p.connect()
	p.agree()
}

// TestPeerThatNamesNoEnd holds that a peer cannot make a sender remember more than a bound.
func TestPeerThatNamesNoEnd(t *testing.T) {
	p := newPair(t)
	p.fill(10)
	p.connect()
	var err error
	for n := 0; n < 1<<20 && err == nil; n += 256 {
		want := feed.Want{}
		for i := range 256 {
			want.Keys = append(want.Keys, key(fmt.Sprint("strange", n+i)))
		}
		err = p.a.session.Step(want)
	}
	if err == nil {
		t.Error("a peer that wants a million keys that are not there goes on, want its session ended")
	}
}

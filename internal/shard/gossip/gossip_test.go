package gossip

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come about.
const patience = time.Minute

// records keeps what is logged.
type records struct {
	mu    sync.Mutex
	all   []slog.Record
	added chan struct{}
}

func newRecords() *records { return &records{added: make(chan struct{})} }

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *records) WithGroup(string) slog.Handler            { return r }

func (r *records) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, record)
	close(r.added)
	r.added = make(chan struct{})
	return nil
}

// until waits until a condition holds that each record may bring about.
func (r *records) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		added := r.added
		r.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-added:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// await waits for a record of a level whose message contains text.
func (r *records) await(t *testing.T, level slog.Level, text string) {
	t.Helper()
	r.until(t, fmt.Sprintf("something is logged at %s that contains %q", level, text), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.ContainsFunc(r.all, func(record slog.Record) bool {
			return record.Level == level && strings.Contains(record.Message, text)
		})
	})
}

// count returns how many records have a message.
func (r *records) count(message string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, record := range r.all {
		if record.Message == message {
			n++
		}
	}
	return n
}

// member is a Gossip that runs.
type member struct {
	*Gossip
	logged *records
	// end has it leave, kill end without a word to the others; what comes first counts.
	end, kill func()
}

// run starts a member; with a wrap, its transport is wrapped. It ends with the test at the latest.
func run(t *testing.T, cfg Config, wrap func(*memberlist.NetTransport) memberlist.Transport) *member {
	t.Helper()
	m := &member{logged: newRecords()}
	cfg.Log = slog.New(m.logged)
	if cfg.Bind == "" {
		cfg.Bind = "127.0.0.1:0"
	}
	var err error
	if wrap == nil {
		m.Gossip, err = New(cfg)
	} else {
		m.Gossip, err = newWrapped(cfg, wrap)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	attended := make(chan struct{})
	go func() {
		defer close(attended)
		m.attend(ctx)
	}()
	var once sync.Once
	stop := func(last func() error) func() {
		return func() {
			once.Do(func() {
				cancel()
				<-attended
				if err := last(); err != nil {
					t.Errorf("%s ended: %v", cfg.ID, err)
				}
			})
		}
	}
	m.end, m.kill = stop(m.leave), stop(m.Close)
	t.Cleanup(m.end)
	return m
}

func newWrapped(cfg Config, wrap func(*memberlist.NetTransport) memberlist.Transport) (*Gossip, error) {
	p, err := cfg.prepare()
	if err != nil {
		return nil, err
	}
	lines := log.New(newLines(cfg.Log), "", 0)
	transport, err := bind(p.bind, lines)
	if err != nil {
		return nil, err
	}
	return start(cfg, p, wrap(transport), transport.GetAutoBindPort(), lines)
}

// at is where a member is.
func (m *members) at(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.there[id]
}

// await waits until a condition holds.
func (m *member) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		changed := m.Changed()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s: alive are %v, waited in vain until %s", m.id, m.members.alive(), what)
		}
	}
}

func (m *member) awaitAlive(t *testing.T, ids ...string) {
	t.Helper()
	m.await(t, fmt.Sprint("alive are ", ids), func() bool { return slices.Equal(m.members.alive(), ids) })
}

func (m *member) awaitLost(t *testing.T, id string) {
	t.Helper()
	m.await(t, id+" is lost", func() bool {
		at, lost := m.Lost(id)
		return lost && !at.IsZero() && !slices.Contains(m.members.alive(), id)
	})
}

func TestJoin(t *testing.T) {
	for _, test := range []struct {
		name string
		join func(address string) string
	}{
		{"by address", func(address string) string { return address }},
		{"by name", func(address string) string {
			_, port, _ := net.SplitHostPort(address)
			return net.JoinHostPort("localhost", port)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := run(t, Config{ID: "a", Label: "west/west-a"}, nil)
			join := []string{test.join(a.address)}
			b := run(t, Config{ID: "b", Label: "west/west-a", Join: join}, nil)
			c := run(t, Config{ID: "c", Label: "west/west-a", Join: join}, nil)
			for _, m := range []*member{a, b, c} {
				m.awaitAlive(t, "a", "b", "c")
				if _, lost := m.Lost("a"); lost {
					t.Errorf("%s: a is lost, want it alive", m.id)
				}
				if _, lost := m.Lost("never-seen"); lost {
					t.Errorf("%s: one that was never seen is lost, want it unknown", m.id)
				}
			}
		})
	}
}

// TestJoinLater starts the member that is to be joined after those that join it.
func TestJoinLater(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	a := run(t, Config{ID: "a", Join: []string{address}}, nil)
	a.logged.await(t, slog.LevelWarn, "no replica reached")
	free.Close()
	run(t, Config{ID: "b", Bind: address}, nil)
	a.awaitAlive(t, "a", "b")
}

func TestLeave(t *testing.T) {
	t.Parallel()
	a := run(t, Config{ID: "a"}, nil)
	b := run(t, Config{ID: "b", Join: []string{a.address}}, nil)
	c := run(t, Config{ID: "c", Join: []string{a.address}}, nil)
	for _, m := range []*member{a, b, c} {
		m.awaitAlive(t, "a", "b", "c")
	}
	began := time.Now()
	b.end()
	a.awaitLost(t, "b")
	c.awaitLost(t, "b")
	at, _ := a.Lost("b")
	t.Logf("a knew %s after b began to leave, b took %s", at.Sub(began), time.Since(began))
	again := run(t, Config{ID: "b", Bind: b.address, Join: []string{a.address}}, nil)
	for _, m := range []*member{a, c, again} {
		m.awaitAlive(t, "a", "b", "c")
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	a := run(t, Config{ID: "a"}, nil)
	b := run(t, Config{ID: "b", Join: []string{a.address}}, nil)
	c := run(t, Config{ID: "c", Join: []string{a.address}}, nil)
	for _, m := range []*member{a, b, c} {
		m.awaitAlive(t, "a", "b", "c")
	}
	began := time.Now()
	c.kill()
	for _, m := range []*member{a, b} {
		m.awaitLost(t, "c")
		m.awaitAlive(t, "a", "b")
		at, _ := m.Lost("c")
		t.Logf("%s lost c after %s", m.id, at.Sub(began))
	}
}

// TestComeBackElsewhere kills a member that comes back at another port, after the others lost it or before.
func TestComeBackElsewhere(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		after bool
	}{{"after it was lost", true}, {"before it was lost", false}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := run(t, Config{ID: "a"}, nil)
			b := run(t, Config{ID: "b", Join: []string{a.address}}, nil)
			c := run(t, Config{ID: "c", Join: []string{a.address}}, nil)
			for _, m := range []*member{a, b, c} {
				m.awaitAlive(t, "a", "b", "c")
			}
			c.kill()
			if test.after {
				a.awaitLost(t, "c")
				b.awaitLost(t, "c")
			}
			again := run(t, Config{ID: "c", Join: []string{a.address}}, nil)
			for _, m := range []*member{a, b} {
				m.await(t, "c is at its new address", func() bool { return m.members.at("c") == again.address })
			}
			again.awaitAlive(t, "a", "b", "c")
		})
	}
}

// TestTwoOfOneName has two processes of one name live beside each other.
func TestTwoOfOneName(t *testing.T) {
	t.Parallel()
	a := run(t, Config{ID: "a"}, nil)
	b := run(t, Config{ID: "b", Join: []string{a.address}}, nil)
	a.awaitAlive(t, "a", "b")
	other := run(t, Config{ID: "b", Join: []string{a.address}}, nil)
	for _, m := range []*member{a, other} {
		m.logged.await(t, slog.LevelError, "two replicas of one name")
	}
	if got := a.members.at("b"); got != b.address {
		t.Errorf("b is at %s, want it where it was first, %s", got, b.address)
	}
}

// TestZonesDoNotMerge joins a member of one zone to another.
func TestZonesDoNotMerge(t *testing.T) {
	t.Parallel()
	a := run(t, Config{ID: "a", Label: "west/west-a"}, nil)
	b := run(t, Config{ID: "b", Label: "west/west-b", Join: []string{a.address}}, nil)
	a.logged.await(t, slog.LevelError, "refused gossip of another zone")
	b.logged.await(t, slog.LevelWarn, "of another zone")
	for _, m := range []*member{a, b} {
		if got := m.members.alive(); !slices.Equal(got, []string{m.id}) {
			t.Errorf("%s: alive are %v, want it alone", m.id, got)
		}
	}
}

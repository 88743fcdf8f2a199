package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// server is an etcd in this process.
type server struct {
	*etcd.Server
}

func startEtcd(t testing.TB, dir, listen string) *server {
	t.Helper()
	s, err := etcd.Embed(bounded(t), etcd.EmbedConfig{Dir: dir, Listen: listen, NoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	return &server{Server: s}
}

func (s *server) stop(t testing.TB) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("stopping etcd: %v", err)
	}
}

// tier is the configuration of a ledger in a tier's store on the server, which is closed with the test.
func (s *server) tier(t testing.TB, prefix string) ledger.Config {
	t.Helper()
	opened, err := s.Open(etcd.Config{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return ledger.Config{Client: opened.Client(), Prefix: opened.Prefix()}
}

// alone is the configuration of a ledger in an etcd of the test's own.
func alone(t testing.TB) ledger.Config {
	t.Helper()
	s := startEtcd(t, t.TempDir(), "")
	t.Cleanup(func() { s.stop(t) })
	return s.tier(t, "/tier")
}

// open opens a ledger that is closed with the test.
func open(t testing.TB, cfg ledger.Config) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(bounded(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // it may be closed already
	return l
}

// run has a ledger run until the test ends. The channel has the reason of an earlier end.
func run(t testing.TB, l *ledger.Ledger) <-chan error {
	ctx, cancel := context.WithCancel(context.Background())
	reason, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		reason <- l.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return reason
}

var services = ledger.Pool{Name: "services"}

func put(t testing.TB, l *ledger.Ledger, p ledger.Pool, b ledger.Block) {
	t.Helper()
	if err := l.PutBlock(bounded(t), p, b); err != nil {
		t.Fatal(err)
	}
}

func block(s string) ledger.Block { return ledger.Block{Prefix: prefix(s)} }

// anyOf asks for any prefix of a length, and exactly for a certain one.
func anyOf(owner string, length int) ledger.Request {
	return ledger.Request{Owner: owner, Pool: "services", Length: length}
}

func exactly(owner, p string) ledger.Request {
	return ledger.Request{Owner: owner, Pool: "services", Prefix: prefix(p)}
}

func allocate(t testing.TB, l *ledger.Ledger, r ledger.Request) ledger.Entry {
	t.Helper()
	e, err := l.Allocate(bounded(t), r)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func release(t testing.TB, l *ledger.Ledger, owner string) ledger.Entry {
	t.Helper()
	e, err := l.Release(bounded(t), owner)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sound fails unless an audit finds nothing, and that many entries.
func sound(t testing.TB, l *ledger.Ledger, entries int) {
	t.Helper()
	r, err := l.Audit(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Findings) > 0 || r.Entries != entries {
		t.Errorf("audit: got %d entries and findings %v, want %d and none", r.Entries, r.Findings, entries)
	}
}

// until waits until a condition holds that changes with the ledger.
func until(t testing.TB, l *ledger.Ledger, what string, holds func() bool) {
	t.Helper()
	ctx := bounded(t)
	for {
		changed := l.Changed()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("waiting for %s", what)
		}
	}
}

func TestAllocate(t *testing.T) {
	l := open(t, alone(t))
	put(t, l, services, ledger.Block{Prefix: prefix("10.0.0.0/24"), Reserved: []netip.Prefix{prefix("10.0.0.0/30")}})
	put(t, l, services, ledger.Block{Prefix: prefix("10.9.0.0/24"), Closed: true})
	put(t, l, ledger.Pool{Name: "six", IPv6: true}, block("2001:db8::/48"))
	put(t, l, ledger.Pool{Name: "closed"}, ledger.Block{Prefix: prefix("10.8.0.0/24"), Closed: true})
	first := allocate(t, l, ledger.Request{Owner: "a", Pool: "services", Length: 32, Tenant: "shop", Note: "web"})
	want := ledger.Entry{Owner: "a", Pool: "services", Prefix: prefix("10.0.0.4/32"), Tenant: "shop", Note: "web", Since: first.Since, Revision: first.Revision}
	if first != want || first.Since.IsZero() || first.Revision == 0 {
		t.Errorf("got %+v, want %+v", first, want)
	}
	allocate(t, l, exactly("b", "10.0.0.64/26"))
	tests := []struct {
		name    string
		request ledger.Request
		want    string // the prefix
		err     error
		text    string
	}{
		{name: "again", request: anyOf("a", 32), want: "10.0.0.4/32"},
		{name: "exactly what it holds", request: exactly("a", "10.0.0.4/32"), want: "10.0.0.4/32"},
		{name: "exactly what it holds again", request: exactly("b", "10.0.0.64/26"), want: "10.0.0.64/26"},
		{name: "another length than it holds", request: anyOf("a", 30), text: "a asks for a /30 of pool services and holds 10.0.0.4/32"},
		{name: "another prefix than it holds", request: exactly("a", "10.0.0.5/32"), text: "asks for 10.0.0.5/32 of pool services and holds 10.0.0.4/32"},
		{name: "a length", request: anyOf("c", 28), want: "10.0.0.16/28"},
		{name: "IPv6", request: ledger.Request{Owner: "d", Pool: "six", Length: 64}, want: "2001:db8::/64"},
		{name: "another pool than it holds of", request: ledger.Request{Owner: "a", Pool: "six", Length: 128}, text: "holds 10.0.0.4/32 of pool services"},
		{name: "another's", request: exactly("e", "10.0.0.4/32"), text: "is held by a"},
		{name: "within another's", request: exactly("e", "10.0.0.65/32"), text: "overlaps 10.0.0.64/26, which is held by b"},
		{name: "around others'", request: exactly("e", "10.0.0.0/25"), text: "overlaps 10.0.0.0/30, which is reserved"},
		{name: "reserved", request: exactly("e", "10.0.0.1/32"), text: "overlaps 10.0.0.0/30, which is reserved"},
		{name: "larger than is free", request: anyOf("e", 24), err: ledger.ErrFull, text: "has no free /24: the largest free prefix is a /25"},
		{name: "larger than the pool", request: anyOf("e", 16), err: ledger.ErrFull, text: "no block for a /16"},
		{name: "of what is closed", request: ledger.Request{Owner: "e", Pool: "closed", Length: 32}, err: ledger.ErrFull, text: "pool closed has no free /32: nothing is free"},
		{name: "exactly, larger than the pool", request: exactly("e", "10.0.0.0/16"), err: ledger.ErrInvalid, text: "in no block of pool services; want one in [10.0.0.0/24"},
		{name: "in a closed block", request: exactly("e", "10.9.0.1/32"), err: ledger.ErrFull, text: "lies in 10.9.0.0/24, which is closed"},
		{name: "in no block", request: exactly("e", "10.1.0.0/24"), err: ledger.ErrInvalid, text: "lies in no block"},
		{name: "all addresses", request: exactly("e", "0.0.0.0/0"), err: ledger.ErrInvalid, text: "lies in no block"},
		{name: "no length", request: anyOf("e", 0), err: ledger.ErrInvalid, text: "length 0: want 1 to 32"},
		{name: "too long", request: anyOf("e", 64), err: ledger.ErrInvalid, text: "pool services is of IPv4; want 1 to 32"},
		{name: "IPv4 in IPv6's form", request: exactly("e", "::ffff:10.0.0.4/128"), err: ledger.ErrInvalid, text: "write it as IPv4"},
		{name: "bits behind the length", request: exactly("e", "10.0.0.4/24"), err: ledger.ErrInvalid, text: "the range is 10.0.0.0/24"},
		{name: "of the other family", request: exactly("e", "2001:db8::/64"), err: ledger.ErrInvalid, text: "not of the family"},
		{name: "two lengths", request: ledger.Request{Owner: "e", Pool: "services", Prefix: prefix("10.0.0.5/32"), Length: 31}, err: ledger.ErrInvalid, text: "length 31"},
		{name: "an unknown pool", request: ledger.Request{Owner: "e", Pool: "none", Length: 32}, err: ledger.ErrUnknownPool, text: "pool none"},
		{name: "no pool", request: ledger.Request{Owner: "e", Length: 32}, err: ledger.ErrInvalid, text: `pool ""`},
		{name: "no owner", request: anyOf("", 32), err: ledger.ErrInvalid, text: `owner ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := l.Allocate(bounded(t), tt.request)
			if tt.want != "" {
				if err != nil || e.Prefix != prefix(tt.want) || e.Owner != tt.request.Owner {
					t.Errorf("got %+v, %v, want %s", e, err, tt.want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.text) || tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("got %+v, %v, want %v with %q", e, err, tt.err, tt.text)
			}
		})
	}
	sound(t, l, 4)
}

// TestFull takes all that there is: what is left in a closed block is not given.
func TestFull(t *testing.T) {
	l := open(t, alone(t))
	put(t, l, services, block("10.0.0.0/30"))
	put(t, l, services, ledger.Block{Prefix: prefix("10.1.0.0/30"), Closed: true})
	for i := range 4 {
		allocate(t, l, anyOf(fmt.Sprint(i), 32))
	}
	_, err := l.Allocate(bounded(t), anyOf("x", 32))
	var full *ledger.Full
	if !errors.As(err, &full) || *full != (ledger.Full{Pool: "services", Length: 32, Largest: -1}) {
		t.Errorf("got %v, want that nothing is free", err)
	}
	if e := allocate(t, l, anyOf("3", 32)); e.Prefix != prefix("10.0.0.3/32") {
		t.Errorf("asked again when all is taken: got %v, want 10.0.0.3/32", e.Prefix)
	}
	changed := l.Changed()
	if _, err := l.Allocate(bounded(t), anyOf("x", 32)); !errors.Is(err, ledger.ErrFull) {
		t.Errorf("got %v, want %v", err, ledger.ErrFull)
	}
	select {
	case <-changed:
		t.Error("a refusal counts as a change, so whoever waits for one would ask for ever")
	default:
	}
	release(t, l, "2")
	if e := allocate(t, l, anyOf("x", 32)); e.Prefix != prefix("10.0.0.2/32") {
		t.Errorf("got %v, want what was released", e.Prefix)
	}
}

func TestRelease(t *testing.T) {
	l := open(t, alone(t))
	put(t, l, services, block("10.0.0.0/24"))
	held := allocate(t, l, anyOf("a", 32))
	e := release(t, l, "a")
	if e.Prefix != held.Prefix || e.Owner != "a" || !e.Until.IsZero() {
		t.Errorf("got %+v, want %s with no quarantine", e, held.Prefix)
	}
	for _, name := range []string{"released", "never seen"} {
		if _, err := l.Release(bounded(t), name); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("%s: got %v, want %v", name, err, ledger.ErrNotFound)
		}
	}
	if _, err := l.Get(bounded(t), "a"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("got %v, want %v", err, ledger.ErrNotFound)
	}
	if u := l.Usage("services").Blocks[0]; !u.Idle || u.Taken != 0 || u.Largest != 24 {
		t.Errorf("got %+v, want an idle block", u)
	}
	sound(t, l, 0)
}

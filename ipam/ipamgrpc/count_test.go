package ipamgrpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// book is pages of one entry each, of which some answer an error first, or wait.
type book struct {
	pages  int
	errs   map[string]error // by where the page begins; each is answered once
	gate   chan struct{}    // nil, or all wait until it is closed
	listed []string         // where the pages began
}

func (b *book) List(ctx context.Context, q ledger.Query) ([]ledger.Entry, string, error) {
	if b.gate != nil {
		select {
		case <-b.gate:
		case <-ctx.Done():
			return nil, "", ctx.Err()
		}
	}
	b.listed = append(b.listed, q.From)
	if err := b.errs[q.From]; err != nil {
		delete(b.errs, q.From)
		return nil, "", err
	}
	var n int
	if q.From != "" {
		if _, err := fmt.Sscanf(q.From, "page-%d", &n); err != nil {
			return nil, "", err
		}
	}
	next := ""
	if n+1 < b.pages {
		next = fmt.Sprintf("page-%d", n+1)
	}
	p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n)}), 30)
	return []ledger.Entry{{Owner: fmt.Sprintf("local/region/west/zone/a/n%d", n), Pool: "p", Prefix: p}}, next, nil
}

func newTestAccount() *account {
	return newAccount(nil, Config{Place: question.Path{Region: "west"}, Limits: Limits{PeerAddresses: 100}})
}

func TestCount(t *testing.T) {
	silent := errors.New("etcd does not answer")
	for _, tt := range []struct {
		name   string
		errs   map[string]error
		listed []string
		want   float64
		code   codes.Code
	}{
		{"at once", nil, []string{"", "page-1", "page-2"}, 12, codes.OK},
		{"a page that fails is read again", map[string]error{"page-1": silent}, []string{"", "page-1", "page-1", "page-2"}, 12, codes.OK},
		{"the ledger is another's", map[string]error{"page-1": fmt.Errorf("listing: %w", ledger.ErrDeposed)}, []string{"", "page-1"}, 4, codes.Unavailable},
		{"the ledger is closed", map[string]error{"": ledger.ErrClosed}, []string{""}, 0, codes.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newTestAccount(), &book{pages: 3, errs: tt.errs}
				a.load(t.Context(), b, slog.New(slog.DiscardHandler))
				if got := a.peers["region/west/zone/a"]; got != tt.want || !slices.Equal(b.listed, tt.listed) {
					t.Errorf("got %.0f addresses by %q, want %.0f by %q", got, b.listed, tt.want, tt.listed)
				}
				if err := a.counted(t.Context()); status.Code(err) != tt.code {
					t.Errorf("a call: got %v, want %s", err, tt.code)
				}
			})
		})
	}
}

// TestCountGoesOn has calls end while the first page is read: the count is not theirs.
func TestCountGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newTestAccount(), &book{pages: 3, gate: make(chan struct{})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			a.load(t.Context(), b, slog.New(slog.DiscardHandler))
		}()
		ctx, cancel := context.WithTimeout(t.Context(), countPatience/2)
		defer cancel()
		if err := a.counted(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call with a deadline: got %v", err)
		}
		if err := a.counted(t.Context()); status.Code(err) != codes.Unavailable {
			t.Errorf("a call without: got %v, want Unavailable", err)
		}
		close(b.gate)
		if err := a.counted(t.Context()); err != nil {
			t.Errorf("after that: %v", err)
		}
		<-done
		if len(b.listed) != 3 {
			t.Errorf("pages read: got %q, want each once", b.listed)
		}
	})
}

// TestCountGivesUp leaves a ledger that cannot be read when another is open.
func TestCountGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newTestAccount(), &book{pages: 1, errs: map[string]error{"": errors.New("an entry that cannot be read")}}
		close(a.count.replaced)
		a.load(t.Context(), b, slog.New(slog.DiscardHandler))
		if err := a.counted(t.Context()); status.Code(err) != codes.Unavailable || len(b.listed) != 1 {
			t.Errorf("got %v after pages %q, want Unavailable after one", err, b.listed)
		}
	})
}

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turns{taken: map[string]chan struct{}{}}
		take := func(owners ...string) func() {
			t.Helper()
			done, err := turns.take(t.Context(), owners)
			if err != nil {
				t.Fatal(err)
			}
			return done
		}
		first, other := take("a", "b"), take("d")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := turns.take(ctx, []string{"b"}); !errors.Is(err, context.Canceled) {
			t.Errorf("a call that ended: got %v", err)
		}
		var order []string
		second := make(chan struct{})
		go func() {
			defer close(second)
			done := take("c", "b")
			order = append(order, "second")
			done()
		}()
		synctest.Wait()
		take("c")() // who waits holds nothing
		order = append(order, "first")
		first()
		<-second
		other()
		if !slices.Equal(order, []string{"first", "second"}) || len(turns.taken) != 0 {
			t.Errorf("got %q, left %v", order, turns.taken)
		}
	})
}

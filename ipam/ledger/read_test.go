package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

func prefixes(entries []ledger.Entry) (out []string) {
	for _, e := range entries {
		out = append(out, e.Prefix.String())
	}
	return out
}

func TestFind(t *testing.T) {
	l := open(t, alone(t))
	put(t, l, ledger.Pool{Name: services.Name, Quarantine: time.Hour}, block("10.0.0.0/16"))
	put(t, l, ledger.Pool{Name: "other"}, block("10.0.0.0/8"))
	put(t, l, ledger.Pool{Name: "six", IPv6: true}, block("2001:db8::/64"))
	allocate(t, l, exactly("a", "10.0.1.0/24"))
	allocate(t, l, exactly("b", "10.0.2.7/32"))
	allocate(t, l, ledger.Request{Owner: "c", Pool: "other", Prefix: prefix("10.0.0.0/16")})
	allocate(t, l, ledger.Request{Owner: "d", Pool: "six", Prefix: prefix("2001:db8::1/128")})
	release(t, l, "b")
	tests := []struct {
		name, prefix string
		want         []string
	}{
		{"an address in a prefix", "10.0.1.200/32", []string{"10.0.0.0/16", "10.0.1.0/24"}},
		{"the first address of a prefix", "10.0.1.0/32", []string{"10.0.0.0/16", "10.0.1.0/24"}},
		{"exactly", "10.0.1.0/24", []string{"10.0.0.0/16", "10.0.1.0/24"}},
		{"around all", "10.0.0.0/8", []string{"10.0.0.0/16", "10.0.1.0/24", "10.0.2.7/32"}},
		{"in quarantine", "10.0.2.7/32", []string{"10.0.0.0/16", "10.0.2.7/32"}},
		{"what one pool has", "10.0.9.9/32", []string{"10.0.0.0/16"}},
		{"nobody's", "10.9.0.0/16", nil},
		{"IPv6", "2001:db8::/32", []string{"2001:db8::1/128"}},
		{"outside of all", "192.0.2.1/32", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, err := l.Find(bounded(t), prefix(tt.prefix))
			if got := prefixes(found); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
	if _, err := l.Find(bounded(t), prefix("10.0.0.1/8")); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("bits behind the length: got %v, want %v", err, ledger.ErrInvalid)
	}
}

func TestList(t *testing.T) {
	l := open(t, alone(t))
	put(t, l, ledger.Pool{Name: services.Name, Quarantine: time.Hour}, block("10.0.0.0/24"))
	put(t, l, ledger.Pool{Name: "other"}, block("10.1.0.0/24"))
	for i := range 7 {
		allocate(t, l, anyOf(fmt.Sprint("a/", 9-i), 32))
	}
	allocate(t, l, ledger.Request{Owner: "a/0", Pool: "other", Length: 32})
	allocate(t, l, anyOf("b/0", 32))
	release(t, l, "a/9")
	tests := []struct {
		name  string
		query ledger.Query
		want  []string
	}{
		{"all", ledger.Query{}, []string{"a/0", "a/9", "a/8", "a/7", "a/6", "a/5", "a/4", "a/3", "b/0"}},
		{"a pool", ledger.Query{Pool: "other"}, []string{"a/0"}},
		{"owners", ledger.Query{OwnerPrefix: "a/"}, []string{"a/0", "a/3", "a/4", "a/5", "a/6", "a/7", "a/8"}},
		{"owners in a pool", ledger.Query{OwnerPrefix: "a/", Pool: "other"}, []string{"a/0"}},
		{"nobody", ledger.Query{OwnerPrefix: "z/"}, nil},
	}
	for _, tt := range tests {
		for _, limit := range []int{0, 1, 3} {
			t.Run(fmt.Sprintf("%s, %d at a time", tt.name, limit), func(t *testing.T) {
				q, got := tt.query, []string(nil)
				q.Limit = limit
				for {
					entries, next, err := l.List(bounded(t), q)
					if err != nil || limit > 0 && len(entries) > limit {
						t.Fatalf("got %d entries, %v", len(entries), err)
					}
					for _, e := range entries {
						got = append(got, e.Owner)
					}
					if q.From = next; next == "" {
						break
					}
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			})
		}
	}
}

func TestWatch(t *testing.T) {
	l := open(t, alone(t))
	run(t, l)
	put(t, l, ledger.Pool{Name: services.Name, Quarantine: time.Millisecond}, block("10.0.0.0/24"))
	put(t, l, ledger.Pool{Name: "other"}, block("10.1.0.0/24"))
	allocate(t, l, anyOf("a/1", 32))
	allocate(t, l, anyOf("b/1", 32))
	allocate(t, l, ledger.Request{Owner: "a/2", Pool: "other", Length: 32})
	events := make(chan string, 100)
	ctx, cancel := context.WithCancel(bounded(t))
	done := make(chan error, 1)
	go func() {
		done <- l.Watch(ctx, ledger.Query{Pool: services.Name, OwnerPrefix: "a/"}, func(e ledger.Event) error {
			events <- fmt.Sprintf("%s %s resting=%t gone=%t", e.Entry.Owner, e.Entry.Prefix, !e.Entry.Until.IsZero(), e.Gone)
			return nil
		})
	}()
	got := []string{<-events} // so that it watches before what follows, or will be told of it
	allocate(t, l, anyOf("a/3", 32))
	allocate(t, l, anyOf("b/2", 32))
	release(t, l, "a/3")
	release(t, l, "a/2")
	for range 3 {
		got = append(got, <-events)
	}
	want := []string{
		"a/1 10.0.0.0/32 resting=false gone=false",
		"a/3 10.0.0.2/32 resting=false gone=false",
		"a/3 10.0.0.2/32 resting=true gone=false",
		"a/3 10.0.0.2/32 resting=true gone=true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the end: got %v, want %v", err, context.Canceled)
	}
	full := errors.New("enough")
	if err := l.Watch(bounded(t), ledger.Query{}, func(ledger.Event) error { return full }); err != full {
		t.Errorf("a watcher's own error: got %v, want %v", err, full)
	}
}

package origin_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/origin"
)

func TestOf(t *testing.T) {
	tests := map[string]struct {
		address net.Addr
		want    string
	}{
		"IPv4":           {&net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 4242}, "10.0.0.7/32"},
		"IPv4 in IPv6":   {&net.TCPAddr{IP: net.ParseIP("::ffff:10.0.0.7"), Port: 1}, "10.0.0.7/32"},
		"IPv6":           {&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:3:4:5:6"), Port: 1}, "2001:db8:1:2::/64"},
		"IPv6 of a link": {&net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 1, Zone: "eth0"}, "fe80::/64"},
		"a socket":       {&net.UnixAddr{Name: "/run/socket"}, netip.Prefix{}.String()},
		"none":           {nil, netip.Prefix{}.String()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := origin.Of(tt.address).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// spends is how often an origin can spend.
func spends(b *origin.Budget, from netip.Prefix, now time.Time) (n int) {
	for n < 100 && b.Spend(from, now) {
		n++
	}
	return n
}

func TestBudget(t *testing.T) {
	a, other := netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("10.0.0.2/32")
	b, now := origin.NewBudget(3, time.Second), time.Unix(1e9, 0)
	if got := spends(b, a, now); got != 3 {
		t.Errorf("at first it can spend %d times, want 3", got)
	}
	if got := spends(b, other, now); got != 3 {
		t.Errorf("another can spend %d times, want 3", got)
	}
	b.Refund(a, now)
	if got := spends(b, a, now); got != 1 {
		t.Errorf("after a refund it can spend %d times, want once", got)
	}
	if got := spends(b, a, now.Add(2*time.Second)); got != 2 {
		t.Errorf("two seconds later it can spend %d times, want 2", got)
	}
	if got := spends(b, a, now.Add(time.Hour)); got != 3 {
		t.Errorf("an hour later it can spend %d times, want 3", got)
	}
	b.Refund(other, now.Add(time.Hour))
	if got := spends(b, other, now.Add(time.Hour)); got != 3 {
		t.Errorf("after a refund of what it has back it can spend %d times, want 3", got)
	}
}

// TestManyOrigins holds that more origins than are remembered change nothing for those that come.
func TestManyOrigins(t *testing.T) {
	b, now := origin.NewBudget(1, time.Hour), time.Unix(1e9, 0)
	for n := range 20000 {
		from := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 32)
		if !b.Spend(from, now) || b.Spend(from, now) {
			t.Fatalf("origin %d could not spend once, and only once", n)
		}
	}
}

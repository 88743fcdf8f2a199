// Package origin bounds what callers can cost a server before it knows who they are: by the address that they come from. It
// imports nothing of ours.
package origin

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Of is what counts as one origin: an IPv4 address, or the network of an IPv6 address, of which one host has all 2^64
// addresses. What is no IP address is all one origin, the zero Prefix.
func Of(address net.Addr) netip.Prefix {
	if address == nil {
		return netip.Prefix{}
	}
	full, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := full.Addr().Unmap().WithZone(""), 64
	if ip.Is4() {
		bits = 32
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// remembered bounds how many origins a budget knows that have spent something.
const remembered = 4096

// Budget is what each origin may spend: so much at once, and what it spent comes back in time. It is safe for concurrent use.
type Budget struct {
	most float64
	each time.Duration

	mu    sync.Mutex
	spent map[netip.Prefix]account // guarded by mu
}

// account is what an origin had spent at a time.
type account struct {
	spent float64
	at    time.Time
}

// NewBudget gives each origin so much at once, of which one comes back in each span of time.
func NewBudget(most int, each time.Duration) *Budget {
	return &Budget{most: float64(most), each: each, spent: map[netip.Prefix]account{}}
}

// Spend takes one, and tells whether there was one.
func (b *Budget) Spend(from netip.Prefix, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	spent := b.owes(from, now)
	if spent+1 > b.most {
		return false
	}
	if _, known := b.spent[from]; !known && len(b.spent) >= remembered {
		b.sweep(now)
	}
	b.spent[from] = account{spent + 1, now}
	return true
}

// Refund gives back what was spent on a caller who turned out to be no stranger.
func (b *Budget) Refund(from netip.Prefix, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if left := b.owes(from, now) - 1; left > 0 {
		b.spent[from] = account{left, now}
	} else {
		delete(b.spent, from)
	}
}

// owes is what an origin has spent and not had back.
func (b *Budget) owes(from netip.Prefix, now time.Time) float64 {
	a, ok := b.spent[from]
	if !ok {
		return 0
	}
	return max(0, a.spent-float64(now.Sub(a.at))/float64(b.each))
}

// sweep forgets those who have had all back, and where that is not half of them, others too: so it is seldom.
func (b *Budget) sweep(now time.Time) {
	for from := range b.spent {
		if b.owes(from, now) == 0 {
			delete(b.spent, from)
		}
	}
	for from := range b.spent {
		if len(b.spent) <= remembered/2 {
			return
		}
		delete(b.spent, from)
	}
}

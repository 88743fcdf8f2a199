package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

const (
	crowdWorkers = 64
	// crowdOwners are those of one worker; with all of them the pools are full.
	crowdOwners = 1200
	// crowdPatience is how long an operation waits for its answer: so many at once take their time.
	crowdPatience = time.Second
	crowdPools    = 4
	// crowdAddresses are those of a pool: two blocks of 8,192.
	crowdAddresses = 1 << 14
)

// TestManyOperations has many owners allocate and release while ledgers lead in turn over bad connections: no address ever
// has two owners, and in the end everybody has what was answered, and nothing else is taken. MERIDIAN_IPAM_OPERATIONS is
// how many operations are answered.
func TestManyOperations(t *testing.T) {
	operations := countFrom(t, "MERIDIAN_IPAM_OPERATIONS", 5_000)
	c := &crowd{terms: &terms{t: t, etcd: serveHistories(t), prefix: "/crowd", begun: time.Now()}, operations: int64(operations)}
	c.every = max(2000, c.operations/200)
	if c.succeed(0) == nil {
		return
	}
	c.addPools()
	begun := time.Now()
	var workers sync.WaitGroup
	everybody := make([]*crowdWorker, crowdWorkers)
	for id := range everybody {
		everybody[id] = &crowdWorker{crowd: c, id: id, r: rand.New(rand.NewPCG(1, uint64(id))), has: map[string]ledger.Entry{}}
		workers.Go(everybody[id].work)
	}
	workers.Wait()
	t.Logf("%d operations answered in %v, %d attempts, %d faults, %d terms", c.answered.Load(), time.Since(begun), c.attempts.Load(), c.faults.Load(), len(c.all))
	c.settle(everybody)
	c.end()
}

// crowd is what the workers share.
type crowd struct {
	*terms
	operations         int64
	every              int64 // attempts from one fault to the next
	answered, attempts atomic.Int64
	faults             atomic.Int64
	// holders are those of each address, by pool: the number of the worker, or 0 for nobody.
	holders [crowdPools][crowdAddresses]atomic.Int32
	// ailing is the link that is to heal.
	ailing atomic.Pointer[link]
}

func crowdPool(n int) ledger.Pool {
	return ledger.Pool{Name: fmt.Sprintf("crowd-%d", n), IPv6: n == 0, Quarantine: time.Duration(n) * 10 * time.Millisecond}
}

// crowdBlocks are those of a pool. An address is counted by its last two bytes.
func crowdBlocks(n int) []netip.Prefix {
	if n == 0 {
		return []netip.Prefix{netip.MustParsePrefix("2001:db8::/115"), netip.MustParsePrefix("2001:db8::2000/115")}
	}
	lower := netip.AddrFrom4([4]byte{10, byte(n), 0, 0})
	upper := netip.AddrFrom4([4]byte{10, byte(n), 0x20, 0})
	return []netip.Prefix{netip.PrefixFrom(lower, 19), netip.PrefixFrom(upper, 19)}
}

func (c *crowd) addPools() {
	leads, _ := c.latest()
	for n := range crowdPools {
		for _, block := range crowdBlocks(n) {
			if err := leads.PutBlock(c.t.Context(), crowdPool(n), ledger.Block{Pool: crowdPool(n).Name, Prefix: block}); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}

// attempt counts one more, and lets something go wrong from time to time.
func (c *crowd) attempt(r *rand.Rand) {
	switch c.attempts.Add(1) % c.every {
	case 0:
		c.disturb(r.IntN(6))
	case 2 * crowdWorkers:
		if l := c.ailing.Swap(nil); l != nil {
			l.heal()
		}
	}
}

func (c *crowd) disturb(fault int) {
	c.faults.Add(1)
	leads, _ := c.latest()
	switch fault {
	case 0:
		leads.link.cut()
	case 1, 2:
		c.ailing.Store(leads.link)
		if fault == 1 {
			leads.link.stall()
		} else {
			leads.link.lose()
		}
	case 3:
		c.succeed(1)
	case 4:
		leads.kill()
		c.succeed(0)
	default:
		leads.link.stall()
		c.succeed(0)
		leads.link.heal()
	}
}

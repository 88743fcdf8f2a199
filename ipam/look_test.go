package ipam_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// put writes records where they are made: at Global. A record with no content is removed.
func (p *place) put(records ...record.Record) {
	p.t.Helper()
	var writes []store.Write
	for _, r := range records {
		writes = append(writes, store.Write{Record: r, Delete: r.Content == nil, Cause: record.CausePerson})
	}
	if _, err := p.writer.Apply(context.Background(), writes, nil); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) remove(k record.Key) { p.put(record.Record{Key: k}) }

// allotment is what the place says of a claim.
func (p *place) allotment(owner string) (record.Allotment, bool) {
	p.mu.Lock()
	r, ok := p.said[record.AllotmentKey(p.region, p.zone, owner)]
	p.mu.Unlock()
	if !ok {
		return record.Allotment{}, false
	}
	a, err := record.DecodeAllotment(r)
	if err != nil {
		p.t.Fatal(err)
	}
	return a, true
}

// claim is one of the place.
func (p *place) claim(owner string, c record.Claim) record.Record {
	c.Owner, c.Region, c.Zone = owner, p.region, p.zone
	return c.Record()
}

// await waits until cond holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// has waits until a claim has something, and returns it.
func (p *place) has(owner string) netip.Prefix {
	p.t.Helper()
	var a record.Allotment
	await(p.t, fmt.Sprintf("%s has something at %s", owner, p.name), func() bool {
		a, _ = p.allotment(owner)
		return a.Prefix.IsValid()
	})
	return a.Prefix
}

// refused waits until a claim has nothing for a reason, and returns the message.
func (p *place) refused(owner, reason string) string {
	p.t.Helper()
	var a record.Allotment
	await(p.t, fmt.Sprintf("%s is refused at %s: %s", owner, p.name, reason), func() bool {
		a, _ = p.allotment(owner)
		return a.Reason == reason
	})
	if a.Prefix.IsValid() {
		p.t.Errorf("%s is refused and has %s", owner, a.Prefix)
	}
	return a.Message
}

// entries are all that the ledger of a place has.
func (p *place) entries(q ledger.Query) (out []ledger.Entry) {
	p.t.Helper()
	for {
		page, next, err := p.ledger.List(context.Background(), q)
		if err != nil {
			p.t.Fatalf("listing at %s: %v", p.name, err)
		}
		out = append(out, page...)
		if q.From = next; next == "" {
			return out
		}
	}
}

// blocks are the open and the closed blocks of a pool.
func (p *place) blocks(pool string) (open, closed []netip.Prefix) {
	for _, b := range p.ledger.Usage(pool).Blocks {
		if b.Closed {
			closed = append(closed, b.Prefix)
		} else {
			open = append(open, b.Prefix)
		}
	}
	return open, closed
}

// holds waits until the place has as many open blocks of a pool, and no other.
func (p *place) holds(pool string, want int) []netip.Prefix {
	p.t.Helper()
	var open, closed []netip.Prefix
	await(p.t, fmt.Sprintf("%s holds %d blocks of %s (at last %v, closed %v)", p.name, want, pool, open, closed), func() bool {
		open, closed = p.blocks(pool)
		return len(open) == want && len(closed) == 0
	})
	return open
}

// pods is a pool of /24 for regions and /26 for zones, and of addresses for claims.
func pods(ranges ...string) record.Pool {
	p := record.Pool{Name: "pods", Purpose: record.PurposePod, RegionLength: 24, ZoneLength: 26, ClaimLength: 32, LowWater: 20, HighWater: 60,
		Quarantine: 20 * time.Millisecond}
	for _, r := range ranges {
		p.Ranges = append(p.Ranges, record.Range{Prefix: prefix(r)})
	}
	return p
}

package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// patience is how long an operation waits for its answer where connections are bad.
const patience = 200 * time.Millisecond

// checkWithin bounds the check of one pool of a history. One that could have happened takes milliseconds.
const checkWithin = time.Minute

// shape is that of one history.
type shape struct {
	pools, clients, operations int
	quarantine                 time.Duration
	faults                     bool
}

// TestHistories holds what concurrent clients saw of ledgers that lead in turn, over connections that stall, lose replies
// and break, against one thing after another. MERIDIAN_IPAM_HISTORIES is how many histories there are.
func TestHistories(t *testing.T) {
	shapes := []shape{
		{pools: 1, clients: 4, operations: 1000, faults: true},
		{pools: 4, clients: 8, operations: 2000, quarantine: 30 * time.Millisecond, faults: true},
		{pools: 16, clients: 16, operations: 2000, quarantine: 5 * time.Millisecond, faults: true},
		{pools: 2, clients: 6, operations: 2000},
	}
	server := serveHistories(t)
	for n := range countFrom(t, "MERIDIAN_IPAM_HISTORIES", 2) {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			newHistory(t, server, shapes[n%len(shapes)], uint64(n)).check()
		})
	}
}

func countFrom(t *testing.T, env string, otherwise int) int {
	t.Helper()
	value := os.Getenv(env)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number above 0", env, value)
	}
	return n
}

// history is what clients asked and heard.
type history struct {
	shape
	*terms
	seed     uint64
	disturbs map[int]func() // by the number of the operation after which they come

	mu  sync.Mutex
	ops []observed // guarded by mu
	n   int        // guarded by mu; without those that a term refused because it was over
}

// observed is one operation, and the term that it was asked of.
type observed struct {
	porcupine.Operation
	of *term
}

func newHistory(t *testing.T, server string, s shape, seed uint64) *history {
	h := &history{shape: s, seed: seed, terms: &terms{t: t, etcd: server, prefix: "/" + t.Name(), begun: time.Now()}}
	first := h.succeed(0)
	if first == nil {
		t.FailNow()
	}
	for n := range s.pools {
		pool := ledger.Pool{Name: poolName(n), Quarantine: s.quarantine}
		if err := first.PutBlock(t.Context(), pool, ledger.Block{Pool: pool.Name, Prefix: historyPool(n)}); err != nil {
			t.Fatal(err)
		}
	}
	if s.faults {
		h.plan()
	}
	return h
}

func poolName(n int) string { return fmt.Sprintf("pool-%d", n) }

func (h *history) check() {
	h.drive()
	last := h.look()
	ops := h.settled()
	h.t.Logf("%d operations, %d terms: %v", len(ops), len(h.all), summary(ops))
	begun := time.Now()
	for _, pool := range partition(ops) {
		if result, info := porcupine.CheckOperationsVerbose(historyModel(), pool, checkWithin); result != porcupine.Ok {
			h.t.Errorf("the history is %s, want one that could have happened one after the other:\n%s", result, transcript(pool, info))
		}
	}
	h.t.Logf("checked in %v", time.Since(begun))
	h.empty(last)
	h.end()
}

// drive has clients ask until all operations are done.
func (h *history) drive() {
	var clients sync.WaitGroup
	for id := range h.clients {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(h.seed, uint64(id)))
			for h.done() < h.operations && !h.t.Failed() {
				h.operate(id, r)
			}
		})
	}
	clients.Wait()
}

func (h *history) done() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

// operate asks one thing, or with a batch several, of the term that leads or the one before.
func (h *history) operate(id int, r *rand.Rand) {
	of, before := h.latest()
	if before != nil && r.IntN(6) == 0 {
		of = before
	}
	within := openWithin
	if h.faults {
		within = patience
	}
	ctx, cancel := context.WithTimeout(of.life, within)
	defer cancel()
	c := call{pool: r.IntN(h.pools), owner: uint8(r.IntN(modelOwners))}
	switch r.IntN(8) {
	case 0, 1, 2, 3:
		if r.IntN(8) == 0 {
			h.allocateSome(ctx, id, of, r)
			return
		}
		h.allocate(ctx, id, of, c.wish(r))
	case 4, 5:
		h.release(ctx, id, of, c)
	default:
		h.get(ctx, id, of, c)
	}
}

// wish draws what to ask for.
func (c call) wish(r *rand.Rand) call {
	c.action, c.size = allocating, 1<<r.IntN(3)
	if r.IntN(4) == 0 {
		c.at = extent{uint8(r.IntN(modelAddresses)) &^ (c.size - 1), c.size}
	}
	return c
}

func (h *history) allocate(ctx context.Context, id int, of *term, c call) {
	from := h.stamp()
	entry, err := of.Allocate(ctx, c.request())
	h.add(id, of, c, from, h.answer(c, from, entry, err))
}

// allocateSome asks for several owners, of different pools, at once.
func (h *history) allocateSome(ctx context.Context, id int, of *term, r *rand.Rand) {
	var calls []call
	var requests []ledger.Request
	for pool := range min(h.pools, 5) {
		for owner := range modelOwners {
			if r.IntN(3) == 0 {
				c := call{pool: pool, owner: uint8(owner)}.wish(r)
				calls, requests = append(calls, c), append(requests, c.request())
			}
		}
	}
	from := h.stamp()
	results := of.AllocateBatch(ctx, requests)
	if len(results) != len(calls) {
		h.t.Errorf("a batch of %d has %d results", len(calls), len(results))
		return
	}
	for i, c := range calls {
		h.add(id, of, c, from, h.answer(c, from, results[i].Entry, results[i].Err))
	}
}

func (h *history) release(ctx context.Context, id int, of *term, c call) {
	c.action = releasing
	from := h.stamp()
	entry, err := of.Release(ctx, c.name())
	a := h.answer(c, from, entry, err)
	if a.outcome == granted {
		a.outcome, a.until = freed, 0
		if h.quarantine > 0 {
			a.until = h.since(entry.Until)
		}
	}
	h.add(id, of, c, from, a)
}

func (h *history) get(ctx context.Context, id int, of *term, c call) {
	c.action = getting
	from := h.stamp()
	entry, err := of.Get(ctx, c.name())
	h.add(id, of, c, from, h.answer(c, from, entry, err))
}

// answer says in the model's words what came back.
func (h *history) answer(c call, from int64, e ledger.Entry, err error) answer {
	a := answer{ended: h.stamp()}
	var byOther *ledger.Taken
	var different *ledger.Conflict
	switch {
	case err == nil:
		a.outcome, a.extent, a.revision = granted, h.extent(c, e), e.Revision
	case errors.Is(err, ledger.ErrNotFound) && c.action != allocating:
		a.outcome = absent
	case errors.Is(err, ledger.ErrFull):
		a.outcome = full
	case errors.As(err, &byOther):
		a.outcome = taken
	case errors.As(err, &different):
		a.outcome, a.extent, a.revision = conflict, h.extent(c, different.Holds), different.Holds.Revision
	case !errors.Is(err, ledger.ErrUnknown):
		a.outcome = refused
		if !h.faults {
			h.t.Errorf("%+v was refused: %v", c, err)
		}
	case h.quarantine > 0:
		a.until = from + h.quarantine.Nanoseconds() - time.Millisecond.Nanoseconds() // which is how exactly it is kept
	}
	return a
}

func (h *history) extent(c call, e ledger.Entry) extent {
	of := historyPool(c.pool)
	if e.Owner != c.name() || e.Pool != poolName(c.pool) || !of.Overlaps(e.Prefix) || e.Prefix.Bits() < of.Bits() {
		h.t.Errorf("%s was told of %+v, want something in %s", c.name(), e, of)
		return extent{}
	}
	return extent{e.Prefix.Addr().As4()[3] % modelAddresses, 1 << (32 - e.Prefix.Bits())}
}

func (c call) name() string { return fmt.Sprintf("local/%d/%d", c.pool, c.owner) }

func (c call) request() ledger.Request {
	r := ledger.Request{Owner: c.name(), Pool: poolName(c.pool)}
	length := 33 - bits.Len8(c.size)
	if c.at.size == 0 {
		r.Length = length
		return r
	}
	a := historyPool(c.pool).Addr().As4()
	a[3] += c.at.first
	r.Prefix = netip.PrefixFrom(netip.AddrFrom4(a), length)
	return r
}

// add keeps what a client saw, and has go wrong what is to go wrong then. Whoever is refused because a term has ended sees
// to it that another begins.
func (h *history) add(id int, of *term, c call, from int64, a answer) {
	op := observed{Operation: porcupine.Operation{ClientId: id, Input: c, Call: from, Output: a, Return: a.ended}, of: of}
	if h.keep(op); a.outcome == refused && of.over() {
		h.replace(of)
		return
	}
	h.mu.Lock()
	h.n++
	disturb := h.disturbs[h.n]
	h.mu.Unlock()
	if disturb != nil {
		disturb()
	}
}

func (h *history) keep(op observed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

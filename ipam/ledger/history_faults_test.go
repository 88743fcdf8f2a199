package ledger_test

import (
	"math/rand/v2"
	"sync"
)

// plan draws what goes wrong, and before which operation. A fault ends after as many operations as there are clients, so
// that it ends where all of them wait for an answer, too.
func (h *history) plan() {
	h.disturbs = map[int]func(){}
	r := rand.New(rand.NewPCG(h.seed, 1<<32))
	faults := []func(at, end int, r *rand.Rand){h.cutting, h.stalling, h.losing, h.succeeding, h.killing, h.delaying, h.delaying, h.delaying}
	for at := h.clients; at < h.operations-7*h.clients; at += 7*h.clients + 1 + r.IntN(20) {
		faults[r.IntN(len(faults))](at, at+h.clients, r)
	}
}

// cutting breaks the connections of the term that leads.
func (h *history) cutting(at, _ int, _ *rand.Rand) {
	h.disturbs[at] = func() {
		leads, _ := h.latest()
		leads.link.cut()
	}
}

// stalling lets nothing through for a while.
func (h *history) stalling(at, end int, _ *rand.Rand) {
	h.during(at, end, (*link).stall)
}

// losing loses the replies to what etcd does.
func (h *history) losing(at, end int, _ *rand.Rand) {
	h.during(at, end, (*link).lose)
}

func (h *history) during(at, end int, fault func(*link)) {
	var s spell
	h.disturbs[at] = func() {
		leads, _ := h.latest()
		s.begin(leads.link, fault)
	}
	h.disturbs[end] = s.end
}

// spell is a time during which a link is ill. One that should end before it has begun does not begin.
type spell struct {
	mu   sync.Mutex
	link *link // guarded by mu, as is over
	over bool
}

func (s *spell) begin(l *link, fault func(*link)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.link = l
		fault(l)
	}
}

func (s *spell) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.link != nil {
		s.link.heal()
	}
}

// succeeding opens another ledger while the one before goes on.
func (h *history) succeeding(at, _ int, r *rand.Rand) {
	aborted := r.IntN(3) / 2
	h.disturbs[at] = func() { h.succeed(aborted) }
}

// killing ends a process in the middle of what it does.
func (h *history) killing(at, _ int, _ *rand.Rand) {
	h.disturbs[at] = func() {
		leads, _ := h.latest()
		leads.kill()
		h.succeed(0)
	}
}

// delaying has requests of a deposed ledger arrive when its successor has been at work for a while.
func (h *history) delaying(at, end int, _ *rand.Rand) {
	h.during(at, end+5*h.clients, (*link).stall)
	h.disturbs[end] = func() { h.succeed(0) }
}

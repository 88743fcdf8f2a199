package ledger_test

import (
	"hash/maphash"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The pools of histories: a /29 each, so that addresses run out and are asked for by several.
const (
	modelOwners    = 4
	modelAddresses = 8
)

// extent is a part of such a pool, in addresses; of size 0 it is nothing.
type extent struct{ first, size uint8 }

func (e extent) overlaps(o extent) bool { return e.first < o.first+o.size && o.first < e.first+e.size }

type action uint8

const (
	allocating action = iota
	releasing
	getting
)

// call is what was asked for. Times are in nanoseconds of the clock that the ledger has.
type call struct {
	pool   int
	action action
	owner  uint8
	size   uint8  // of what is to be allocated: 1, 2 or 4
	at     extent // exactly this one; nothing for any
	// vague: others changed the pool meanwhile, or the ledger may not know what its successor did. It may then hold as taken
	// what is free, never the other way round.
	vague bool
}

type outcome uint8

const (
	unknown outcome = iota // it may have happened, and may not
	granted                // the owner has it
	freed
	absent // the owner has nothing
	full
	taken
	conflict // the owner has something else, which extent is
	refused  // nothing was done; such a call is in no history
)

type answer struct {
	outcome outcome
	extent  extent
	// revision is that of the entry that was seen, 0 where none was.
	revision int64
	// perhaps are what a call of unknown outcome can have been granted; see narrow.
	perhaps []extent
	until   int64 // of freed and unknown: the least end of the quarantine, 0 for none
	ended   int64 // when the answer came: no allocation may end before the quarantine of its addresses has
}

// poolState is one pool in the sequential model.
type poolState struct {
	held [modelOwners]extent
	// rests is the quarantine of each address. One that is over stays until the address is given away, since the ledger may
	// end it late.
	rests [modelAddresses]rest
}

type rest struct {
	until int64 // 0: none
	by    uint8 // whose it was, who may have it back
}

// free tells whether owner may get it by a time.
func (s poolState) free(e extent, owner uint8, by int64) bool {
	for i := e.first; i < e.first+e.size; i++ {
		if r := s.rests[i]; r.until > by && r.by != owner {
			return false
		}
	}
	return !slices.ContainsFunc(s.held[:], e.overlaps)
}

// vacant tells whether nothing at all is in the way, not even a quarantine that may be over.
func (s poolState) vacant(e extent) bool {
	for i := e.first; i < e.first+e.size; i++ {
		if s.rests[i].until > 0 {
			return false
		}
	}
	return !slices.ContainsFunc(s.held[:], e.overlaps)
}

func (s poolState) grant(owner uint8, e extent) poolState {
	s.held[owner] = e
	for i := e.first; i < e.first+e.size; i++ {
		s.rests[i] = rest{}
	}
	return s
}

func (s poolState) release(owner uint8, until int64) poolState {
	e := s.held[owner]
	s.held[owner] = extent{}
	for i := e.first; until > 0 && i < e.first+e.size; i++ {
		s.rests[i] = rest{until: until, by: owner}
	}
	return s
}

// candidates are what a call may be granted in an empty pool.
func (c call) candidates() []extent {
	if c.at.size > 0 {
		return []extent{c.at}
	}
	var out []extent
	for first := uint8(0); first < modelAddresses; first += c.size {
		out = append(out, extent{first, c.size})
	}
	return out
}

func (c call) wants(e extent) bool { return c.at == e || c.at.size == 0 && c.size == e.size }

// allocate are the states in which the pool may be after a call with this answer.
func (s poolState) allocate(c call, a answer) []any {
	if has := s.held[c.owner]; has.size > 0 {
		fits := c.wants(has)
		return s.when(a.outcome == unknown || a.extent == has && (a.outcome == granted && fits || a.outcome == conflict && !fits))
	}
	switch a.outcome {
	case granted:
		if c.wants(a.extent) && s.free(a.extent, c.owner, a.ended) {
			return []any{s.grant(c.owner, a.extent)}
		}
		return nil
	case unknown:
		out := []any{s}
		for _, e := range a.perhaps {
			if s.free(e, c.owner, a.ended) {
				out = append(out, s.grant(c.owner, e))
			}
		}
		return out
	default: // nothing was free
		room := slices.ContainsFunc(c.candidates(), s.vacant)
		return s.when((a.outcome == taken) == (c.at.size > 0) && (a.outcome == taken || a.outcome == full) && (c.vague || !room))
	}
}

func (s poolState) when(ok bool) []any {
	if ok {
		return []any{s}
	}
	return nil
}

// step is the model's: all states that a call with this answer may lead to.
func (s poolState) step(c call, a answer) []any {
	has := s.held[c.owner]
	switch c.action {
	case allocating:
		return s.allocate(c, a)
	case releasing:
		switch {
		case a.outcome == unknown && has.size > 0:
			return []any{s, s.release(c.owner, a.until)}
		case a.outcome == freed && has.size > 0 && a.extent == has:
			return []any{s.release(c.owner, a.until)}
		}
		return s.when(has.size == 0 && (a.outcome == absent || a.outcome == unknown))
	default:
		return s.when(a.outcome == unknown || a.outcome == absent && has.size == 0 || a.outcome == granted && has.size > 0 && a.extent == has)
	}
}

// historyModel is the ledger as one thing after another. Pools have nothing to do with each other, so they are checked
// one by one.
func historyModel() porcupine.Model {
	seed := maphash.MakeSeed()
	model := porcupine.NondeterministicModel{
		Partition: partition,
		Init:      func() []any { return []any{poolState{}} },
		Step:      func(s, in, out any) []any { return s.(poolState).step(in.(call), out.(answer)) },
		Hash:      func(s any) uint64 { return maphash.Comparable(seed, s.(poolState)) },
	}
	return model.ToModel()
}

func partition(history []porcupine.Operation) [][]porcupine.Operation {
	byPool := map[int][]porcupine.Operation{}
	for _, op := range history {
		pool := op.Input.(call).pool
		byPool[pool] = append(byPool[pool], op)
	}
	var out [][]porcupine.Operation
	for _, ops := range byPool {
		out = append(out, ops)
	}
	return out
}

// TestHistoryModel has the model accept what a ledger may do, and refuse what it must not.
func TestHistoryModel(t *testing.T) {
	alone := extent{3, 1}
	allocate := func(owner uint8, from, to int64, e extent) porcupine.Operation {
		return porcupine.Operation{Input: call{owner: owner, size: e.size}, Call: from, Return: to, Output: answer{outcome: granted, extent: e, ended: to}}
	}
	ask := func(owner uint8, act action, from, to int64, a answer) porcupine.Operation {
		a.ended = to
		return porcupine.Operation{Input: call{owner: owner, action: act, size: 1}, Call: from, Return: to, Output: a}
	}
	release := func(owner uint8, from, to, until int64, e extent) porcupine.Operation {
		return ask(owner, releasing, from, to, answer{outcome: freed, extent: e, until: until})
	}
	holds := answer{outcome: granted, extent: alone}
	nothing := answer{outcome: absent}
	for name, c := range map[string]struct {
		history []porcupine.Operation
		ok      bool
	}{
		"one address after the other":           {[]porcupine.Operation{allocate(0, 1, 2, alone), allocate(1, 3, 4, extent{4, 1})}, true},
		"one address with two owners":           {[]porcupine.Operation{allocate(0, 1, 2, alone), allocate(1, 3, 4, alone)}, false},
		"two owners at once":                    {[]porcupine.Operation{allocate(0, 1, 4, alone), allocate(1, 2, 3, alone)}, false},
		"an address in another's range":         {[]porcupine.Operation{allocate(0, 1, 2, extent{2, 2}), allocate(1, 3, 4, alone)}, false},
		"asked again":                           {[]porcupine.Operation{allocate(0, 1, 2, alone), allocate(0, 3, 4, alone)}, true},
		"asked again, something else":           {[]porcupine.Operation{allocate(0, 1, 2, alone), allocate(0, 3, 4, extent{4, 1})}, false},
		"another size than asked for":           {[]porcupine.Operation{ask(0, allocating, 1, 2, answer{outcome: granted, extent: extent{2, 2}})}, false},
		"given on after the release":            {[]porcupine.Operation{allocate(0, 1, 2, alone), release(0, 3, 4, 0, alone), allocate(1, 5, 6, alone)}, true},
		"given on after the quarantine":         {[]porcupine.Operation{allocate(0, 1, 2, alone), release(0, 3, 4, 10, alone), allocate(1, 5, 10, alone)}, true},
		"given on in quarantine":                {[]porcupine.Operation{allocate(0, 1, 2, alone), release(0, 3, 4, 10, alone), allocate(1, 5, 9, alone)}, false},
		"given back in quarantine":              {[]porcupine.Operation{allocate(0, 1, 2, alone), release(0, 3, 4, 10, alone), allocate(0, 5, 9, alone)}, true},
		"released twice":                        {[]porcupine.Operation{allocate(0, 1, 2, alone), release(0, 3, 4, 0, alone), release(0, 5, 6, 0, alone)}, false},
		"forgotten":                             {[]porcupine.Operation{allocate(0, 1, 2, alone), ask(0, getting, 3, 4, nothing)}, false},
		"seen before the answer":                {[]porcupine.Operation{allocate(0, 1, 9, alone), ask(0, getting, 3, 4, holds)}, true},
		"seen, then not there":                  {[]porcupine.Operation{allocate(0, 1, 9, alone), ask(0, getting, 3, 4, holds), ask(0, getting, 5, 6, nothing)}, false},
		"full while there is room":              {[]porcupine.Operation{ask(0, allocating, 1, 2, answer{outcome: full})}, false},
		"full":                                  {[]porcupine.Operation{allocate(0, 1, 2, extent{0, 4}), allocate(1, 1, 2, extent{4, 4}), ask(2, allocating, 3, 4, answer{outcome: full})}, true},
		"taken while it is free":                {[]porcupine.Operation{{Input: call{size: 1, at: alone}, Call: 1, Return: 2, Output: answer{outcome: taken}}}, false},
		"unanswered, and it happened":           {[]porcupine.Operation{ask(0, allocating, 1, 9, answer{perhaps: []extent{alone}}), ask(0, getting, 3, 4, holds)}, true},
		"unanswered, and it did not":            {[]porcupine.Operation{ask(0, allocating, 1, 9, answer{perhaps: []extent{alone}}), ask(0, getting, 3, 4, nothing)}, true},
		"unanswered, and it happened too late":  {[]porcupine.Operation{ask(0, allocating, 1, 3, answer{perhaps: []extent{alone}}), ask(0, getting, 4, 5, nothing), ask(0, getting, 6, 7, holds)}, false},
		"unanswered release, and it did not":    {[]porcupine.Operation{allocate(0, 1, 2, alone), ask(0, releasing, 3, 9, answer{}), ask(0, getting, 4, 5, holds)}, true},
		"unanswered release, given on too soon": {[]porcupine.Operation{allocate(0, 1, 2, alone), ask(0, releasing, 3, 9, answer{until: 8}), allocate(1, 5, 7, alone)}, false},
		"a conflict with nothing":               {[]porcupine.Operation{ask(0, allocating, 1, 2, answer{outcome: conflict})}, false},
	} {
		t.Run(name, func(t *testing.T) {
			want := porcupine.Illegal
			if c.ok {
				want = porcupine.Ok
			}
			if got := porcupine.CheckOperationsTimeout(historyModel(), c.history, time.Minute); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

package ledger_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// lookClient is the one that looks at everything in the end.
const lookClient = -1

// look has a last ledger, that nothing disturbs, say what everybody has.
func (h *history) look() *term {
	leads, before := h.latest()
	leads.link.heal()
	if before != nil {
		before.link.heal()
	}
	last := h.succeed(0)
	if last == nil {
		h.t.FailNow()
	}
	ctx, cancel := context.WithTimeout(last.life, openWithin)
	defer cancel()
	for pool := range h.pools {
		for owner := range modelOwners {
			h.get(ctx, lookClient, last, call{pool: pool, owner: uint8(owner)})
		}
	}
	return last
}

// settled are the operations as the model needs them. One whose outcome nobody knows may have happened until the next term
// had opened; after that its ledger was fenced, and it has not happened.
func (h *history) settled() []porcupine.Operation {
	successor := map[*term]*term{}
	for i, one := range h.all[1:] {
		successor[h.all[i]] = one
	}
	var out []observed
	for _, op := range h.ops {
		c, a, next := op.Input.(call), op.Output.(answer), successor[op.of]
		switch {
		case next == nil && (a.outcome == unknown || a.outcome == refused):
			h.t.Errorf("the last ledger did not answer %+v", c)
			continue
		case a.outcome == refused || a.outcome == unknown && op.Call > next.opened:
			continue
		case a.outcome == unknown:
			op.Return = max(op.Return, next.opened)
			a.ended = op.Return
		}
		c.vague = next != nil && op.Return >= next.opening
		op.Input, op.Output = c, a
		out = append(out, op)
	}
	return narrow(disputed(out))
}

// disputed marks as vague what was refused while others changed the same pool, or after somebody may have unnoticed.
func disputed(ops []observed) []observed {
	changing := map[int][]int{}
	for i, op := range ops {
		if c := op.Input.(call); c.action != getting {
			changing[c.pool] = append(changing[c.pool], i)
		}
	}
	for i := range ops {
		op := &ops[i]
		c, a := op.Input.(call), op.Output.(answer)
		if a.outcome == full || a.outcome == taken {
			c.vague = c.vague || slices.ContainsFunc(changing[c.pool], func(o int) bool {
				other := ops[o]
				return o != i && other.Call <= op.Return && (other.Return >= op.Call || other.Output.(answer).outcome == unknown)
			})
			op.Input = c
		}
	}
	return ops
}

// empty releases everything, and sees that then all of every pool can be had: nothing was lost.
func (h *history) empty(last *term) {
	ctx, cancel := context.WithTimeout(last.life, openWithin)
	defer cancel()
	for pool := range h.pools {
		for owner := range modelOwners {
			if _, err := last.Release(ctx, call{pool: pool, owner: uint8(owner)}.name()); err != nil && !errors.Is(err, ledger.ErrNotFound) {
				h.t.Errorf("releasing: %v", err)
			}
		}
	}
	for pool := range h.pools {
		for n := range modelAddresses {
			if err := h.have(ctx, last, ledger.Request{Owner: fmt.Sprintf("rest/%d/%d", pool, n), Pool: poolName(pool), Length: 32}); err != nil {
				h.t.Errorf("address %d of %s: %v; everything was released", n, historyPool(pool), err)
			}
		}
	}
}

// have allocates, and waits while what it would get is in quarantine.
func (h *history) have(ctx context.Context, last *term, r ledger.Request) error {
	for {
		changed := last.Changed()
		_, err := last.Allocate(ctx, r)
		if !errors.Is(err, ledger.ErrFull) {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

func count(ops []porcupine.Operation, o outcome) (n int) {
	for _, op := range ops {
		if op.Output.(answer).outcome == o {
			n++
		}
	}
	return n
}

// summary says how often what was answered.
func summary(ops []porcupine.Operation) string {
	names := map[outcome]string{unknown: "unknown", granted: "granted", freed: "freed", absent: "absent", full: "full", taken: "taken", conflict: "conflict"}
	var out []string
	for _, o := range slices.Sorted(maps.Keys(names)) {
		out = append(out, fmt.Sprintf("%s %d", names[o], count(ops, o)))
	}
	return strings.Join(out, ", ")
}

// transcript lists operations in the order of their calls, with times in microseconds. Those that have no place after the
// longest part of the history that could have happened are marked.
func transcript(ops []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []porcupine.Operation
	for _, part := range info.PartialLinearizationsOperations()[0] {
		if len(part) > len(longest) {
			longest = part
		}
	}
	placed := map[string]bool{}
	for _, op := range longest {
		placed[entryLine(op)] = true
	}
	var out strings.Builder
	for _, op := range slices.SortedFunc(slices.Values(ops), func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) }) {
		mark := "  "
		if !placed[entryLine(op)] {
			mark = "? "
		}
		out.WriteString(mark + entryLine(op) + "\n")
	}
	return out.String()
}

func entryLine(op porcupine.Operation) string {
	return fmt.Sprintf("%8d to %8d, client %d: %+v: %+v", op.Call/1000, op.Return/1000, op.ClientId, op.Input, op.Output)
}

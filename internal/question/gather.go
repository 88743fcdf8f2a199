package question

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// defaultPatience is how long a question without a deadline may take.
	defaultPatience = 5 * time.Second
	// askAtOnce bounds the questions under way at one node, so that one question to a thousand clusters does not stand
	// before everything else.
	askAtOnce = 32
	// leastHop is the least that a node keeps of the time left, to merge and send what came.
	leastHop = 20 * time.Millisecond
)

// Child is one child that a question goes on to.
type Child struct {
	Name string
	Tier Tier
	// Ask asks it and returns when ctx ends; nil if there is no session with it.
	Ask func(ctx context.Context, kind string, payload []byte) ([]byte, error)
}

// Gather asks all children at once and hangs their answers below local, ordered by tier and name. It leaves itself a
// tenth of the time that ctx has left. A child that fails, is late, or says too much, becomes a Node that says why it
// did not answer.
func Gather(ctx context.Context, local Node, children []Child, kind string, payload []byte) Node {
	ctx, cancel := context.WithDeadline(ctx, hopDeadline(ctx, time.Now()))
	defer cancel()
	answers := make([]Node, len(children))
	var group errgroup.Group
	group.SetLimit(askAtOnce)
	for i, child := range children {
		group.Go(func() error {
			answers[i] = ask(ctx, child, kind, payload)
			return nil
		})
	}
	_ = group.Wait()
	local.Children = append(slices.Clone(local.Children), answers...)
	slices.SortStableFunc(local.Children, func(a, b Node) int {
		return cmp.Or(cmp.Compare(depth(a.Tier), depth(b.Tier)), cmp.Compare(a.Name, b.Name))
	})
	return local
}

func depth(t Tier) int { return slices.Index([]Tier{TierGlobal, TierRegion, TierZone, TierCluster}, t) }

// hopDeadline is when the children must have answered.
func hopDeadline(ctx context.Context, now time.Time) time.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = now.Add(defaultPatience)
	}
	left := deadline.Sub(now)
	return deadline.Add(-max(left/10, leastHop))
}

func ask(ctx context.Context, child Child, kind string, payload []byte) Node {
	node := Node{Tier: child.Tier, Name: child.Name}
	if child.Ask == nil {
		node.Unanswered = "not connected"
		return node
	}
	answer, err := child.Ask(ctx, kind, payload)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		node.Unanswered = "no answer in time"
		return node
	case err != nil:
		node.Unanswered = err.Error()
		return node
	case len(answer) > MaxAnswer:
		node.Unanswered = fmt.Sprintf("answered %d bytes, more than the %d allowed", len(answer), MaxAnswer)
		return node
	}
	got, err := Decode[Node](answer)
	if err != nil {
		node.Unanswered = "unreadable answer: " + err.Error()
		return node
	}
	// A child speaks for itself, under the name by which it is known here.
	got.Tier, got.Name = child.Tier, child.Name
	return got
}

package render

import (
	"fmt"
	"io"
	"time"

	"github.com/meridian-federation/meridian/internal/question"
)

// Trace writes how the current revision went down the tree: at each node, how long after Global accepted it the node
// had it, how much of that was the last hop, and when all below had applied it and were ready. Clocks of different
// hosts differ, so that a hop may seem to take less than nothing.
func Trace(w io.Writer, top *question.Node) error {
	a := top.Application
	if a == nil {
		return fmt.Errorf("global has not answered for the application: %s", dash(top.Unanswered))
	}
	accepted := "at an unknown time"
	if !a.AcceptedAt.IsZero() {
		accepted = a.AcceptedAt.UTC().Format("2006-01-02 15:04:05.000 UTC")
	}
	fmt.Fprintf(w, "%s/%s   revision %s   accepted %s\n\n", a.Namespace, a.Name, short(a.Revision), accepted)
	rows := [][]string{{"NODE", "RECEIVED", "HOP", "APPLIED", "READY", "APPLIED→READY"}}
	for _, b := range lines(top) {
		rows = append(rows, append([]string{b.label}, traceCells(b, a)...))
	}
	if err := columns(w, rows); err != nil {
		return err
	}
	return notes(w, top)
}

func traceCells(b branch, top *question.Application) []string {
	n := b.node
	if n.Unanswered != "" {
		return []string{"no answer: " + firstLine(n.Unanswered)}
	}
	a := n.Application
	if a == nil {
		return []string{"not here"}
	}
	if a.Revision != top.Revision {
		return []string{"still at " + short(a.Revision)}
	}
	return []string{
		after(top.AcceptedAt, received(n)), after(received(b.parent), received(n)),
		after(top.AcceptedAt, a.AppliedAt), after(top.AcceptedAt, a.ReadyAt), after(a.AppliedAt, a.ReadyAt),
	}
}

// received is when a node had the revision; Global has it when it accepts it.
func received(n *question.Node) time.Time {
	switch {
	case n == nil || n.Application == nil:
		return time.Time{}
	case n.Tier == question.TierGlobal:
		return n.Application.AcceptedAt
	default:
		return n.Application.ReceivedAt
	}
}

// after is the time between two moments, in three digits; "-" if either is not known.
func after(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "-"
	}
	d := to.Sub(from)
	switch size := d.Abs(); {
	case size < 10*time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	case size < time.Second:
		d = d.Round(time.Millisecond)
	case size < time.Minute:
		d = d.Round(10 * time.Millisecond)
	default:
		d = d.Round(time.Second)
	}
	return d.String()
}

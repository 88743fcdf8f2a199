package render

import (
	"fmt"
	"io"
	"time"

	"github.com/meridian-federation/meridian/internal/question"
)

// Status writes the tree of one application: counts at each node, then what is wrong.
func Status(w io.Writer, top *question.Node, now time.Time) error {
	a := top.Application
	if a == nil {
		return fmt.Errorf("global has not answered for the application: %s", dash(top.Unanswered))
	}
	fmt.Fprintf(w, "%s/%s   revision %s   ready %d/%d   converged %d/%d clusters   accepted %s\n\n", a.Namespace, a.Name,
		short(a.Revision), a.Ready, a.Desired, a.Converged, a.Clusters, since(now, a.AcceptedAt))
	rows := [][]string{{"NODE", "REVISION", "READY", "UPDATED", "CONVERGED", "STATE"}}
	tree := lines(top)
	for _, b := range tree {
		rows = append(rows, append([]string{b.label}, statusCells(b.node)...))
	}
	if err := columns(w, rows); err != nil {
		return err
	}
	if err := section(w, "PROBLEMS", problems(tree)); err != nil {
		return err
	}
	return notes(w, top)
}

func since(now, then time.Time) string {
	if then.IsZero() {
		return "at an unknown time"
	}
	return ago(now, then) + " ago"
}

func statusCells(n *question.Node) []string {
	if n.Unanswered != "" {
		return []string{"?", "?", "?", "?", "no answer: " + firstLine(n.Unanswered)}
	}
	a := n.Application
	if a == nil {
		return []string{"-", "-", "-", "-", "not here"}
	}
	converged := fmt.Sprintf("%d/%d", a.Converged, a.Clusters)
	return []string{short(a.Revision), fmt.Sprintf("%d/%d", a.Ready, a.Desired), fmt.Sprint(a.Updated), converged, state(a)}
}

// state is one word on how far a node is.
func state(a *question.Application) string {
	switch {
	case a.Draining:
		return "draining"
	case a.Clusters == 0:
		return "nothing placed"
	case a.Converged < a.Clusters:
		return "applying"
	case a.Updated < a.Desired || a.Ready < a.Desired:
		return "starting"
	default:
		return "ready"
	}
}

// problems lists each problem once, though every tier above a cluster repeats it.
func problems(tree []branch) [][]string {
	seen := map[question.Problem]bool{}
	var rows [][]string
	add := func(where string, p question.Problem) {
		if !seen[p] {
			seen[p] = true
			rows = append(rows, []string{where, dash(p.Object), p.Reason + ": " + firstLine(p.Message)})
		}
	}
	for _, b := range tree {
		if b.node.Application == nil {
			continue
		}
		for _, p := range b.node.Application.Problems {
			add(place(p, b), p)
		}
	}
	return rows
}

func place(p question.Problem, b branch) string {
	switch {
	case p.Cluster != "":
		return "cluster " + p.Cluster
	case p.Zone != "":
		return "zone " + p.Zone
	default:
		return title(b.node)
	}
}

// notes says what the answer does not hold.
func notes(w io.Writer, top *question.Node) error {
	if top.Omitted == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nNote: %s.\n", top.Omitted)
	return err
}

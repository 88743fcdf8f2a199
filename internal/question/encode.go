package question

import (
	"encoding/json"
	"fmt"
	"strings"
)

// MaxAnswer bounds one encoded answer, in bytes. A thousand clusters with a few problems each fit.
const MaxAnswer = 1 << 20

// Encode writes an answer of at most MaxAnswer bytes. What does not fit is left out, detail first, and the top node's
// Omitted says so; the counts of the tiers above stay whole.
func Encode(n Node) ([]byte, error) { return encode(n, MaxAnswer) }

func encode(n Node, limit int) ([]byte, error) {
	var left []string
	for _, cut := range []struct {
		what  string
		apply func(*Node)
	}{
		{"", func(*Node) {}},
		{"lists of objects, held removals and blocks", cutLists},
		{"problems below the top", cutProblems},
		{"clusters", cutTier(TierCluster)},
		{"zones", cutTier(TierZone)},
		{"regions", cutTier(TierRegion)},
	} {
		if cut.what != "" {
			cut.apply(&n)
			left = append(left, cut.what)
			n.Omitted = "the answer was too long: left out " + strings.Join(left, ", ")
		}
		b, err := json.Marshal(n)
		if err != nil {
			return nil, fmt.Errorf("encoding an answer: %w", err)
		}
		if len(b) <= limit {
			return b, nil
		}
	}
	return nil, fmt.Errorf("encoding an answer: the node %s alone is longer than %d bytes", n.Name, limit)
}

// edit applies fn to copies of all nodes below n: the caller's tree is not touched.
func edit(n *Node, fn func(*Node)) {
	children := make([]Node, len(n.Children))
	copy(children, n.Children)
	for i := range children {
		fn(&children[i])
		edit(&children[i], fn)
	}
	n.Children = children
}

func cutLists(n *Node) {
	cut := func(n *Node) {
		if n.Application != nil {
			a := *n.Application
			a.Objects = nil
			n.Application = &a
		}
		if n.Overview != nil && n.Overview.Held != nil {
			o := *n.Overview
			o.Held = &Held{Total: o.Held.Total}
			n.Overview = &o
		}
		n.Space = n.Space.brief()
	}
	cut(n)
	edit(n, cut)
}

func cutProblems(n *Node) {
	edit(n, func(n *Node) {
		if n.Application != nil {
			a := *n.Application
			a.Problems = nil
			n.Application = &a
		}
	})
}

func cutTier(tier Tier) func(*Node) {
	drop := func(n *Node) {
		var kept []Node
		for _, c := range n.Children {
			if c.Tier != tier {
				kept = append(kept, c)
			}
		}
		n.Children = kept
	}
	return func(n *Node) {
		drop(n)
		edit(n, drop)
	}
}

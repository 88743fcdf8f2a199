package render

import "github.com/meridian-federation/meridian/internal/question"

// branch is one node of a tree on its line.
type branch struct {
	node *question.Node
	// parent is nil at the top.
	parent *question.Node
	// path of the node, for commands that name it.
	path question.Path
	// label is the node's name behind the lines that show where it hangs.
	label string
}

// lines walks the tree in the order in which it is shown.
func lines(top *question.Node) []branch {
	return grow(nil, branch{node: top, label: title(top)}, "")
}

func grow(out []branch, b branch, indent string) []branch {
	out = append(out, b)
	for i := range b.node.Children {
		child := &b.node.Children[i]
		fork, more := "├─ ", "│  "
		if i == len(b.node.Children)-1 {
			fork, more = "└─ ", "   "
		}
		out = grow(out, branch{
			node: child, parent: b.node, path: b.path.To(child), label: indent + fork + title(child),
		}, indent+more)
	}
	return out
}

func title(n *question.Node) string {
	if n.Tier == question.TierGlobal {
		return string(n.Tier)
	}
	return string(n.Tier) + " " + n.Name
}

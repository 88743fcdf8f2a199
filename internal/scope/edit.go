package scope

import (
	"cmp"
	"slices"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// touched collects, for each child, the keys whose place in its view may have changed, in the order in which they were
// first touched, each with the strongest cause.
type touched map[string]*touches

type touches struct {
	order []record.Key
	cause map[record.Key]record.Cause
}

func (t touched) touch(child string, key record.Key, cause record.Cause) {
	c := t[child]
	if c == nil {
		c = &touches{cause: map[record.Key]record.Cause{}}
		t[child] = c
	}
	strongest, seen := c.cause[key]
	if !seen {
		c.order = append(c.order, key)
	}
	c.cause[key] = max(strongest, cause)
}

// edits turns touched keys into edits: what the child's view holds now, removals last.
func (x *Index) edits(t touched) map[string][]feed.Edit {
	out := make(map[string][]feed.Edit, len(t))
	for child, c := range t {
		edits := make([]feed.Edit, 0, len(c.order))
		for _, key := range c.order {
			e := feed.Edit{Key: key, Cause: c.cause[key]}
			if r, ok := x.Holds(child, key); ok {
				e.Record = &r
			}
			edits = append(edits, e)
		}
		slices.SortStableFunc(edits, func(a, b feed.Edit) int { return cmp.Compare(removal(a), removal(b)) })
		out[child] = edits
	}
	return out
}

func removal(e feed.Edit) int {
	if e.Record == nil {
		return 1
	}
	return 0
}

package compile

import (
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
)

// found is how an application is found under one istiod where it is called.
type found struct {
	// chunks of its addresses, CLUSTER/CHUNK, of which there are units.
	chunks map[string]struct{}
	// wrong is why what calls it cannot, or not everywhere, by part.
	wrong []wrong
}

// wrong is what is wrong with a chunk, or with an empty part as a whole.
type wrong struct {
	part     string
	problems []record.Problem
}

// finds returns how the application is found under an istiod, made when it is first wanted.
func (a *app) finds(istiod string) *found {
	f := a.found[istiod]
	if f == nil {
		if a.found == nil {
			a.found = map[string]*found{}
		}
		f = &found{chunks: map[string]struct{}{}}
		a.found[istiod] = f
	}
	return f
}

// told are the first of the problems, of the whole before those of chunks.
func (f *found) told() []record.Problem {
	var out []record.Problem
	for _, w := range f.wrong {
		if out = append(out, w.problems...); len(out) >= record.MaxProblems {
			return out[:record.MaxProblems]
		}
	}
	return out
}

func (f *found) set(part string, problems []record.Problem) {
	at, known := slices.BinarySearchFunc(f.wrong, part, func(w wrong, part string) int { return strings.Compare(w.part, part) })
	switch {
	case len(problems) == 0 && known:
		f.wrong = slices.Delete(f.wrong, at, at+1)
	case len(problems) == 0:
	case known:
		f.wrong[at].problems = problems
	default:
		f.wrong = slices.Insert(f.wrong, at, wrong{part, problems})
	}
}

// refuse notes what is wrong with how an application is found under an istiod; if that is news, its callers there stand
// otherwise.
func (c *Compiler) refuse(a *app, istiod, part string, problems []record.Problem, r *round) {
	if a.found[istiod] == nil && len(problems) == 0 {
		return
	}
	f := a.finds(istiod)
	before := f.told()
	f.set(part, problems)
	if slices.Equal(before, f.told()) {
		return
	}
	for b := range a.callers {
		if t := c.targets[b.binding.Cluster]; t != nil && t.istiod == istiod {
			r.standing(t, b.app)
		}
	}
}

// lose notes that there is no unit any more of how an application is found under an istiod.
func (c *Compiler) lose(a *app, istiod, part string, r *round) {
	f := a.found[istiod]
	if f == nil {
		return
	}
	c.refuse(a, istiod, part, nil, r)
	if delete(f.chunks, part); len(f.chunks)+len(f.wrong) == 0 {
		delete(a.found, istiod)
	}
}

// problems are those of compiling how the application is called, or why that failed.
func (a *app) problems(problems []record.Problem, err error) []record.Problem {
	if err == nil {
		return problems
	}
	p := failed(err)
	p.Message = "how " + a.title() + " is called: " + p.Message
	return []record.Problem{*p}
}

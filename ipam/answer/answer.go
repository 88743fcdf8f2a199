// Package answer answers people's questions about address space at one place, by the ipam.Tier that its leader runs, and says
// which places below are to be asked, too.
//
// A place that cannot answer, because it does not lead or its ledger is not open, says so in its node: those below it are asked
// all the same. Global, regions and zones import the package; it knows none of them.
package answer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// Office is who keeps a place's addresses; *tenure.Tenure is one.
type Office interface {
	// Tier is nil while this process does not lead, or the ledger is not open.
	Tier() *ipam.Tier
	// SetBack is why the ledger refuses to work, nil if it does not.
	SetBack() error
	// Repair accepts a ledger that was set back as it is.
	Repair(ctx context.Context) (ledger.Report, error)
}

// Kinds tells whether a question is one about address space.
func Kinds(kind string) bool {
	return slices.Contains([]string{question.KindIPAMShow, question.KindIPAMFind, question.KindIPAMCheck, question.KindIPAMReclaim,
		question.KindIPAMExport}, kind)
}

// Below are the places below one that are asked, too: all, or the one of the name; or none.
type Below struct {
	All  bool
	Name string
}

// Of are those of the places' names.
func (b Below) Of(names []string) []string {
	if b.All {
		return names
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name != b.Name })
}

// errNowhere: what is asked for is not at this place, nor below it.
var errNowhere = fmt.Errorf("%w: the place is not here", question.ErrInvalid)

// At answers a question at a place, in its node. The error is that nobody can answer it.
func At(ctx context.Context, office Office, at question.Path, kind string, payload []byte, node *question.Node) (Below, error) {
	switch kind {
	case question.KindIPAMShow:
		r, err := question.Decode[question.IPAMShowRequest](payload)
		if err != nil {
			return Below{}, err
		}
		return Below{All: true}, within(office, node, func(t *ipam.Tier) error { return show(t, r, node) })
	case question.KindIPAMFind:
		r, err := decode[question.IPAMFindRequest](payload)
		if err != nil {
			return Below{}, err
		}
		return Below{All: true}, within(office, node, func(t *ipam.Tier) error { return find(ctx, t, r, node) })
	case question.KindIPAMCheck:
		r, err := decode[question.IPAMCheckRequest](payload)
		if err != nil {
			return Below{}, err
		}
		if !r.Target.Contains(at) {
			return towards(at, r.Target)
		}
		return Below{All: true}, check(ctx, office, r, node)
	case question.KindIPAMReclaim:
		r, err := decode[question.IPAMReclaimRequest](payload)
		if err != nil {
			return Below{}, err
		}
		if parent, _ := r.Target.Parent(); parent != at {
			return towards(at, r.Target)
		}
		return Below{}, within(office, node, func(t *ipam.Tier) error { return reclaim(ctx, t, r, node) })
	case question.KindIPAMExport:
		r, err := decode[question.IPAMExportRequest](payload)
		if err != nil {
			return Below{}, err
		}
		if r.Target != at {
			return towards(at, r.Target)
		}
		return Below{}, within(office, node, func(t *ipam.Tier) error { return export(ctx, t, r, node) })
	default:
		return Below{}, fmt.Errorf("%w: unknown question %q", question.ErrInvalid, kind)
	}
}

// decode reads a request that can be answered.
func decode[T interface{ Validate() error }](payload []byte) (T, error) {
	r, err := question.Decode[T](payload)
	if err != nil {
		return r, err
	}
	return r, r.Validate()
}

// towards is the child by which a question goes on to its target.
func towards(at, target question.Path) (Below, error) {
	name, below := target.Child(at.Tier())
	if !below || !at.Contains(target) {
		return Below{}, fmt.Errorf("%w: %s is asked, and %s is meant", errNowhere, at, target)
	}
	return Below{Name: name}, nil
}

// within answers by the tier, or says in the node why there is no answer.
func within(office Office, node *question.Node, do func(*ipam.Tier) error) error {
	t, why := open(office)
	if t == nil {
		node.Unanswered = why
		return nil
	}
	err := do(t)
	if errors.Is(err, question.ErrInvalid) || errors.Is(err, question.ErrNotFound) {
		return err
	}
	if err != nil {
		node.Unanswered = err.Error()
	}
	return nil
}

// Ledger is an office's, from when its tier is ready, and while it is open; else, and without an office, nil. Before, what places
// below were told may be free by the ledger.
func Ledger(office Office) *ledger.Ledger {
	t, _ := open(office)
	if t == nil {
		return nil
	}
	select {
	case <-t.Ready():
		return t.Ledger()
	default:
		return nil
	}
}

// open is the tier, or why there is none.
func open(office Office) (t *ipam.Tier, why string) {
	if office == nil {
		return nil, "no addresses are kept here: its store is in memory"
	}
	if t := office.Tier(); t != nil {
		return t, ""
	}
	if err := office.SetBack(); err != nil {
		return nil, ipam.ReasonStoreSetBack + ": " + err.Error() + "; `meridian ipam check --repair` accepts it as it is"
	}
	return nil, "the ledger of addresses is not open here: this process does not lead, or does not reach its store"
}

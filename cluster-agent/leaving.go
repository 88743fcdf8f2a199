package clusteragent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// terminatingAfter is how long a workload may take to end before a person is told: the usual 30 seconds that a pod has, and
// as long again.
const terminatingAfter = time.Minute

// scope is what goes together: an application, or, without one, a whole namespace.
type scope struct{ namespace, application string }

// leaving orders what is to go. An object stays until nothing of a higher class is left of what it belongs to: what belongs
// to an application waits for that, a Namespace and what is in it without an application waits for all in the namespace. A
// workload is left until its last pod is gone, so that nothing that guards pods goes before them, whichever batch brings
// its removal.
//
// A removal that waits is acknowledged: its batch must not hold up others for as long as a pod takes. From then on it is
// the agent's to carry out. An agent that restarts finds the workloads that are ending in the cluster, and is sent the
// removals again, since what they name is still there.
type leaving struct {
	// left counts, by class, what is to go; under no application all in the namespace, applications' objects included.
	left map[scope]*[object.Classes]int
	// waiting are the removals that found something left before them.
	waiting map[scope]map[*entry]struct{}
	// late are workloads that have been ending for longer than patience.
	late     map[*entry]struct{}
	patience time.Duration
	// tell takes what a person should know of: the late ones, whenever they change. It must not call the desk.
	tell func([]record.Problem)
}

func newLeaving() leaving {
	return leaving{left: map[scope]*[object.Classes]int{}, waiting: map[scope]map[*entry]struct{}{},
		late: map[*entry]struct{}{}, patience: terminatingAfter, tell: func([]record.Problem) {}}
}

// departure is the part of an entry that says how it leaves.
type departure struct {
	// counted: it is among what is left, of the scope, since then.
	counted bool
	scope   scope
	since   time.Time
}

// class is the object's.
func (e *entry) class() object.Class { return object.ClassOf(e.id.Group, e.id.Kind) }

// runsPods tells whether the object is a workload that is not over before its pods are.
func (e *entry) runsPods() bool { return object.RunsPods(e.id.Group, e.id.Kind) }

// leaves tells whether the object is to go, or going, and not gone.
func (e *entry) leaves() bool {
	ends := e.runsPods() && e.seen != nil && e.seen.ours()
	if e.want != nil && e.want.gone {
		return e.dirty || e.busy || ends
	}
	return ends && e.seen.deleting
}

// scopeOf is what an object belongs to. One that is not there, and whose application is not known, counts for the namespace.
func scopeOf(e *entry) scope {
	if e.id.Namespace == "" {
		return scope{namespace: e.id.Name}
	}
	return scope{e.id.Namespace, e.application()}
}

// both are the scopes in which an object counts.
func (s scope) both() []scope {
	if s.application == "" {
		return []scope{s}
	}
	return []scope{s, {namespace: s.namespace}}
}

// track brings the counts up to date with an entry, after any change of it.
func (d *desk) track(e *entry) {
	switch leaves := e.leaves(); {
	case leaves && !e.counted:
		e.departure = departure{counted: true, scope: scopeOf(e), since: time.Now()}
		d.leaving.count(e, 1)
		d.remind(e, e.since)
	case !leaves && e.counted:
		e.counted = false
		for _, w := range d.leaving.count(e, -1) {
			d.queue.Add(w.id.Key())
		}
		d.leaving.forget(e)
	}
}

// count counts an object in or out, and returns those that wait for it no longer.
func (l *leaving) count(e *entry, by int) (freed []*entry) {
	for _, s := range e.scope.both() {
		n := l.left[s]
		if n == nil {
			n = new([object.Classes]int)
			l.left[s] = n
		}
		if n[e.class()] += by; n[e.class()] > 0 {
			continue
		}
		for w := range l.waiting[s] {
			freed = append(freed, w)
		}
		if *n == ([object.Classes]int{}) {
			delete(l.left, s)
		}
	}
	return freed
}

// holds tells whether the removal of an object has to wait, and if so remembers that it does.
func (l *leaving) holds(e *entry) bool {
	s := e.scope
	if n := l.left[s]; n != nil && slices.ContainsFunc(n[e.class()+1:], func(left int) bool { return left > 0 }) {
		if l.waiting[s] == nil {
			l.waiting[s] = map[*entry]struct{}{}
		}
		l.waiting[s][e] = struct{}{}
		return true
	}
	l.unwait(e)
	return false
}

func (l *leaving) unwait(e *entry) {
	delete(l.waiting[e.scope], e)
	if len(l.waiting[e.scope]) == 0 {
		delete(l.waiting, e.scope)
	}
}

// forget drops an entry that does not leave any more.
func (l *leaving) forget(e *entry) {
	l.unwait(e)
	if _, late := l.late[e]; late {
		delete(l.late, e)
		l.tell(l.problems())
	}
}

// remind tells of a workload that has had its time to end, or has the queue bring it up again then: of two times, the
// queue keeps the earlier.
func (d *desk) remind(e *entry, now time.Time) {
	l := &d.leaving
	if _, late := l.late[e]; late || !e.counted || !e.runsPods() {
		return
	}
	if rest := e.since.Add(l.patience).Sub(now); rest > 0 {
		d.queue.AddAfter(e.id.Key(), rest)
		return
	}
	l.late[e] = struct{}{}
	l.tell(l.problems())
}

// late is how many workloads have had their time to end and have not.
func (d *desk) late() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.leaving.late)
}

// problems are those of the late workloads, at most as many as a record may have.
func (l *leaving) problems() []record.Problem {
	out := make([]record.Problem, 0, len(l.late))
	for e := range l.late {
		out = append(out, e.terminating())
	}
	slices.SortFunc(out, func(a, b record.Problem) int { return strings.Compare(a.Object, b.Object) })
	return out[:min(len(out), record.MaxProblems)]
}

// terminating is the problem with a workload that does not end.
func (e *entry) terminating() record.Problem {
	return record.Problem{Object: e.id.Short(), Reason: reasonTerminating, Message: fmt.Sprintf("it is to go since %s, and its "+
		"pods have not ended; what guards them stays until they have", e.since.UTC().Format(time.RFC3339))}
}

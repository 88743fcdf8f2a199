package global

import (
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// queue collects what happened since the planner last looked. Events of one object merge, so that its size is bounded
// by the number of objects however far the planner is behind.
type queue struct {
	mu   sync.Mutex
	work work
	wake chan struct{}
}

// work is one helping of the queue. Applications are NAMESPACE/NAME.
type work struct {
	// applications that were created or changed.
	applications map[string]bool
	// externals are ExternalServices, by the names under which they are planned, that were created or changed.
	externals map[string]bool
	// removed are applications and ExternalServices that are gone: with CausePerson if they were seen to be deleted, with CauseFound if they
	// were only found missing.
	removed map[string]record.Cause
	// namespaces whose labels may have changed.
	namespaces map[string]bool
	// policies are AccessPolicies, NAMESPACE/NAME, that were created, changed or deleted.
	policies map[string]bool
	// quotas are TenantQuotas that were created, changed or deleted.
	quotas map[string]bool
	// pools are IPPools, and ipclaims IPClaims, NAMESPACE/NAME, that were created or changed; of pools also deleted.
	pools, ipclaims map[string]bool
	// unclaimed are IPClaims that are gone, as removed are applications.
	unclaimed map[string]record.Cause
	// allotted are owners of claims of whose allotments something was told, demanded pools of which a region told what it has.
	allotted, demanded map[string]bool
	// freed are pools of which something was taken of, or came back to, what Global itself gives; everyPool for all.
	freed map[string]bool
	// inventory says that some resource of the inventory changed; clusters are those that were seen to be deleted.
	inventory bool
	clusters  map[string]record.Cause
	// left are regions and zones that were seen to be deleted.
	left map[question.Path]bool
	// reported are applications of which a region reported something.
	reported map[string]bool
	// health are clusters whose health changed, regions those whose session changed.
	health  map[string]bool
	regions map[string]bool
	// confirmed says that an operator let held removals go.
	confirmed bool
}

func newWork() work {
	return work{applications: map[string]bool{}, externals: map[string]bool{}, removed: map[string]record.Cause{}, namespaces: map[string]bool{},
		policies: map[string]bool{}, quotas: map[string]bool{}, clusters: map[string]record.Cause{}, left: map[question.Path]bool{},
		reported: map[string]bool{}, health: map[string]bool{}, regions: map[string]bool{}, pools: map[string]bool{},
		ipclaims: map[string]bool{}, unclaimed: map[string]record.Cause{}, allotted: map[string]bool{}, demanded: map[string]bool{},
		freed: map[string]bool{}}
}

func newQueue() *queue { return &queue{work: newWork(), wake: make(chan struct{}, 1)} }

// add notes something and wakes the planner.
func (q *queue) add(note func(*work)) {
	q.mu.Lock()
	note(&q.work)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take empties the queue.
func (q *queue) take() work {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := q.work
	q.work = newWork()
	return out
}

// applicationEvents notes which Applications changed. Only a change of the spec or of the identity counts: Global's own
// status writes come back as updates too.
func (q *queue) applicationEvents() cache.ResourceEventHandler {
	changed := func(obj any) {
		app := obj.(*v1alpha1.Application)
		q.add(func(w *work) {
			key := record.ServiceName(app.Namespace, app.Name)
			w.applications[key] = true
			delete(w.removed, key)
		})
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: changed,
		UpdateFunc: func(before, after any) {
			b, a := before.(*v1alpha1.Application), after.(*v1alpha1.Application)
			if b.Generation != a.Generation || b.UID != a.UID {
				changed(after)
			}
		},
		DeleteFunc: func(obj any) {
			key, cause := deletion(obj)
			q.add(func(w *work) {
				delete(w.applications, key)
				w.removed[key] = cause
			})
		},
	}
}

// deletion reads a delete event. One that the watch missed has no known author.
func deletion(obj any) (key string, cause record.Cause) {
	cause = record.CausePerson
	if _, missed := obj.(cache.DeletedFinalStateUnknown); missed {
		cause = record.CauseFound
	}
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		panic("a watched object has no metadata: " + err.Error())
	}
	return key, cause
}

func (q *queue) namespaceEvents() cache.ResourceEventHandler {
	return named(func(key string) { q.add(func(w *work) { w.namespaces[key] = true }) })
}

func (q *queue) policyEvents() cache.ResourceEventHandler {
	return named(func(key string) { q.add(func(w *work) { w.policies[key] = true }) })
}

func (q *queue) quotaEvents() cache.ResourceEventHandler {
	return named(func(key string) { q.add(func(w *work) { w.quotas[key] = true }) })
}

func (q *queue) poolEvents() cache.ResourceEventHandler {
	return named(func(key string) { q.add(func(w *work) { w.pools[key] = true }) })
}

// ipClaimEvents notes which IPClaims came, and went by whose hand.
func (q *queue) ipClaimEvents() cache.ResourceEventHandler {
	came := named(func(key string) {
		q.add(func(w *work) {
			w.ipclaims[key] = true
			delete(w.unclaimed, key)
		})
	}).(cache.ResourceEventHandlerFuncs)
	came.DeleteFunc = func(obj any) {
		key, cause := deletion(obj)
		q.add(func(w *work) {
			delete(w.ipclaims, key)
			w.unclaimed[key] = cause
		})
	}
	return came
}

// externalEvents notes which ExternalServices came, and went by whose hand.
func (q *queue) externalEvents() cache.ResourceEventHandler {
	came := named(func(key string) {
		q.add(func(w *work) {
			w.externals[externalName(key)] = true
			delete(w.removed, externalName(key))
		})
	}).(cache.ResourceEventHandlerFuncs)
	came.DeleteFunc = func(obj any) {
		key, cause := deletion(obj)
		q.add(func(w *work) {
			delete(w.externals, externalName(key))
			w.removed[externalName(key)] = cause
		})
	}
	return came
}

// named serves kinds of which it only matters which object changed.
func named(noteKey func(key string)) cache.ResourceEventHandler {
	note := func(obj any) {
		key, _ := deletion(obj)
		noteKey(key)
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: note, UpdateFunc: func(before, after any) {
		if relabelled(before, after) {
			note(after)
		}
	}, DeleteFunc: note}
}

func (q *queue) clusterEvents() cache.ResourceEventHandler {
	note := func(obj any) {
		key, _ := deletion(obj)
		q.add(func(w *work) {
			w.inventory = true
			delete(w.clusters, key)
		})
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: note, UpdateFunc: func(before, after any) {
		if relabelled(before, after) {
			note(after)
		}
	}, DeleteFunc: func(obj any) {
		key, cause := deletion(obj)
		q.add(func(w *work) {
			w.inventory = true
			w.clusters[key] = cause
		})
	}}
}

// inventoryEvents serves the kinds of the inventory whose objects have no record of their own.
func (q *queue) inventoryEvents() cache.ResourceEventHandler {
	note := func(any) { q.add(func(w *work) { w.inventory = true }) }
	return cache.ResourceEventHandlerFuncs{AddFunc: note, UpdateFunc: func(before, after any) {
		if relabelled(before, after) {
			note(after)
		}
	}, DeleteFunc: func(obj any) {
		q.add(func(w *work) {
			w.inventory = true
			switch o := obj.(type) { // one that the watch missed comes as another type
			case *v1alpha1.Region:
				w.left[question.Path{Region: o.Name}] = true
			case *v1alpha1.Zone:
				w.left[question.Path{Region: o.Spec.Region, Zone: o.Name}] = true
			}
		})
	}}
}

// relabelled tells whether an update changed more than status: the generation, the labels, by which placement selects, or
// the object itself, where the watch missed that it was deleted and created again.
func relabelled(before, after any) bool {
	b, errBefore := meta.Accessor(before)
	a, errAfter := meta.Accessor(after)
	return errBefore != nil || errAfter != nil || b.GetGeneration() != a.GetGeneration() ||
		b.GetUID() != a.GetUID() || !maps.Equal(b.GetLabels(), a.GetLabels())
}

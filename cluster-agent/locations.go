package clusteragent

import (
	"context"
	"maps"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/workqueue"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// located is the source of the EndpointSlices of Services that the zone wants located: slices have their Service's labels.
func (k *kube) located() source {
	slices := k.endpoints.EndpointSlices(metav1.NamespaceAll)
	return source{
		name:     "endpointslices.discovery.k8s.io",
		selector: object.LabelLocate + " in (" + locateCounts + "," + locateAddresses + ")",
		list: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			return slices.List(ctx, opts)
		},
		watch: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return slices.Watch(ctx, opts)
		},
	}
}

// locations is the sink that keeps what is ready of each Service that is located, and tells the zone: one record with the
// count, and one for each chunk of addresses where those are wanted.
type locations struct {
	cluster, zone, region string
	outbox                *feed.Outbox
	// first is called after the first list.
	first sync.Once
	ready func()
	queue workqueue.TypedDelayingInterface[types.NamespacedName]

	mu   sync.Mutex // guards all below
	all  map[types.NamespacedName]*located
	of   map[types.NamespacedName]types.NamespacedName // the Service of each slice
	list map[types.NamespacedName]struct{}             // the slices of the list that is being read
	// touched are the Services that changed in it: what is ready of them is known when all slices are.
	touched map[types.NamespacedName]struct{}
}

func newLocations(cfg Config, outbox *feed.Outbox, ready func()) *locations {
	return &locations{cluster: cfg.Cluster, zone: cfg.Zone, region: cfg.Region, outbox: outbox, ready: ready,
		queue: workqueue.NewTypedDelayingQueue[types.NamespacedName](), all: map[types.NamespacedName]*located{},
		of: map[types.NamespacedName]types.NamespacedName{}}
}

// run tells what is due, until ctx ends.
func (l *locations) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, l.queue.ShutDown)
	defer stop()
	for {
		service, closed := l.queue.Get()
		if closed {
			return nil
		}
		l.tell(service, time.Now())
		l.queue.Done(service)
	}
}

func (l *locations) listing() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = map[types.NamespacedName]struct{}{}
	if l.touched == nil { // else the last list came to no end
		l.touched = map[types.NamespacedName]struct{}{}
	}
}

func (l *locations) see(obj metav1.Object) {
	s, ok := obj.(*discoveryv1.EndpointSlice)
	if !ok {
		return
	}
	service := serviceOf(s)
	name := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list != nil {
		l.list[name] = struct{}{}
	}
	if service.Name == "" || s.AddressType == discoveryv1.AddressTypeFQDN {
		l.forget(name)
		return
	}
	if was, known := l.of[name]; known && was != service {
		l.forget(name)
	}
	at := l.all[service]
	if at == nil {
		at = &located{}
		l.all[service] = at
	}
	l.of[name] = service
	if at.put(read(s)) {
		l.changed(service, at, time.Now())
	}
}

func (l *locations) vanish(obj metav1.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()})
}

// listed ends a list: slices that were not in it are gone. What the first list showed is told before the zone takes what
// there is for all.
func (l *locations) listed(_ string, missing bool) {
	l.mu.Lock()
	if !missing {
		for name := range maps.Keys(l.of) {
			if _, there := l.list[name]; !there {
				l.forget(name)
			}
		}
	}
	touched := l.touched
	l.list, l.touched = nil, nil
	for service := range touched {
		if at := l.all[service]; at != nil {
			l.changed(service, at, time.Now())
		}
	}
	l.mu.Unlock()
	l.first.Do(l.ready)
}

// forget drops a slice, with mu held.
func (l *locations) forget(slice types.NamespacedName) {
	service, known := l.of[slice]
	if !known {
		return
	}
	delete(l.of, slice)
	if at := l.all[service]; at.drop(slice.Name) {
		l.changed(service, at, time.Now())
	}
}

// changed tells a change, or has it told when it is due, with mu held. A Service whose last slice went is gone, or nobody
// asks for it any more: it is told at once, since a Service that only lost its pods keeps its slice.
func (l *locations) changed(service types.NamespacedName, at *located, now time.Time) {
	if l.list != nil {
		l.touched[service] = struct{}{}
		return
	}
	due := now
	if len(at.slices) > 0 {
		differs, matters := at.differs()
		due = at.pace.due(now, differs, matters)
	}
	switch {
	case due.IsZero():
	case due.After(now):
		l.queue.AddAfter(service, due.Sub(now))
	default:
		l.speak(service, at, now)
	}
}

// differs tells whether what is here is not what was told, and whether it may not wait.
func (at *located) differs() (differs, matters bool) {
	n, count := at.ready(), 0
	at.chunks(func(name string, addresses []string) {
		count++
		if at.told.chunks[name] != versionOf(addresses) {
			matters = true
		}
	})
	matters = matters || !at.told.spoken || count != len(at.told.chunks) || n != at.told.ready && !wobbles(at.told.ready, n)
	return matters || n != at.told.ready, matters
}

// tell tells a change that had to wait, unless it has come undone or has to wait longer.
func (l *locations) tell(service types.NamespacedName, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := l.all[service]; at != nil {
		l.changed(service, at, now)
	}
}

// speak brings the zone all that is to say of a Service, with mu held.
func (l *locations) speak(service types.NamespacedName, at *located, now time.Time) {
	var edits []feed.Edit
	where := record.Location{Namespace: service.Namespace, Application: service.Name, Cluster: l.cluster, Zone: l.zone, Region: l.region}
	if len(at.slices) == 0 {
		delete(l.all, service)
		if at.told.spoken {
			edits = append(edits, feed.Remove(where.Record().Key, record.CausePerson))
		}
	} else {
		counts := where
		if n := at.ready(); n > 0 {
			counts.Ready = []record.Ready{{Endpoints: n}}
		}
		r := counts.Record()
		edits = append(edits, feed.Put(&r))
	}
	said := telling{spoken: true, ready: at.ready()}
	at.chunks(func(name string, addresses []string) {
		chunk := where
		chunk.Chunk = name
		for _, a := range addresses {
			chunk.Endpoints = append(chunk.Endpoints, record.Endpoint{Address: a})
		}
		if said.chunks == nil {
			said.chunks = map[string]record.Version{}
		}
		said.chunks[name] = versionOf(addresses)
		r := chunk.Record()
		edits = append(edits, feed.Put(&r))
	})
	for name := range at.told.chunks {
		if _, there := said.chunks[name]; !there {
			edits = append(edits, feed.Remove(record.LocationKey(service.Namespace, service.Name, l.cluster, name), record.CausePerson))
		}
	}
	at.told = said
	at.pace.spoke(now)
	l.outbox.Edit(edits...)
}

// count is the number of Services that are located.
func (l *locations) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

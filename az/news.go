package az

import (
	"strings"
	"sync"
)

// news is what the scheduler is told beside the changes of the store, merged until it asks.
type news struct {
	wake chan struct{}

	mu    sync.Mutex
	apps  map[string]struct{} // guarded by mu; became ready somewhere
	nodes map[string]int32    // guarded by mu; by cluster
}

func newNews() *news {
	return &news{wake: make(chan struct{}, 1), apps: map[string]struct{}{}, nodes: map[string]int32{}}
}

// ready tells that an application became ready in a cluster.
func (n *news) ready(app string) { n.add(func() { n.apps[app] = struct{}{} }) }

// counted tells how many nodes a cluster has.
func (n *news) counted(cluster string, nodes int32) { n.add(func() { n.nodes[cluster] = nodes }) }

func (n *news) add(note func()) {
	n.mu.Lock()
	note()
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// take returns what is new and forgets it.
func (n *news) take() (apps map[string]struct{}, nodes map[string]int32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	apps, nodes = n.apps, n.nodes
	n.apps, n.nodes = map[string]struct{}{}, map[string]int32{}
	return apps, nodes
}

// cutName splits NAMESPACE/APPLICATION.
func cutName(app string) (namespace, name string) {
	namespace, name, _ = strings.Cut(app, "/")
	return namespace, name
}

package global

import (
	"maps"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// missing adds the applications, ExternalServices and clusters that have records and no spec.
func (p *planner) missing(w *work) {
	snapshot := p.mirror.Snapshot()
	for _, kind := range []record.Kind{record.KindAssignment, record.KindRevision, record.KindService, record.KindPolicy} {
		for e := range snapshot.All(kind) {
			parts := e.Key.Parts()
			name := record.ServiceName(parts[0], parts[1])
			if !p.specified(name) {
				w.miss(name)
			}
		}
	}
	for owner := range p.asks.claims {
		if key, ok := strings.CutPrefix(owner, ownerExternal); ok && !p.specified(externalName(key)) {
			w.miss(externalName(key))
		}
		if key, ok := strings.CutPrefix(owner, ownerIPClaim); ok {
			if _, ok := p.hub.ipclaims.get(key); ok {
				continue
			}
			if _, seen := w.unclaimed[key]; !seen {
				w.unclaimed[key] = record.CauseFound
			}
		}
	}
	for e := range snapshot.All(record.KindCluster) {
		if _, ok := p.hub.clusters.get(e.Key.Name); !ok {
			if _, seen := w.clusters[e.Key.Name]; !seen {
				w.clusters[e.Key.Name] = record.CauseFound
			}
		}
	}
}

// miss notes that there is no spec of an application or ExternalService, unless it was seen to go.
func (w *work) miss(name string) {
	if _, seen := w.removed[name]; !seen {
		w.removed[name] = record.CauseFound
	}
}

// specified tells whether there is a spec of an application or ExternalService.
func (p *planner) specified(name string) bool {
	ok := false
	if isExternal(name) {
		_, ok = p.hub.externals.get(externalKey(name))
	} else {
		_, ok = p.hub.applications.get(name)
	}
	return ok
}

// clusterPrefix tells clusters from applications among the guard's names; claimPrefix does IPClaims.
const clusterPrefix = "Cluster "

// screen passes what was only found missing through the guard.
func (p *planner) screen(w *work) {
	kinds := map[string]map[string]record.Cause{"": w.removed, clusterPrefix: w.clusters, claimPrefix: w.unclaimed}
	var found []string
	for prefix, removed := range kinds {
		for name, cause := range removed {
			if cause != record.CausePerson {
				found = append(found, prefix+name)
			}
		}
	}
	if len(found) == 0 {
		return
	}
	let := map[string]bool{}
	present := p.hub.applications.len() + p.hub.clusters.len() + p.hub.ipclaims.len() + p.hub.externals.len()
	for _, name := range p.guard.admit(found, present, time.Now()) {
		let[name] = true
	}
	for prefix, removed := range kinds {
		maps.DeleteFunc(removed, func(name string, c record.Cause) bool { return c != record.CausePerson && !let[prefix+name] })
	}
	if held := len(found) - len(let); held > 0 {
		p.log.Error("specs are missing at the hub and nobody was seen to remove them; they are kept until confirmed", "held", held)
	}
}

// release lets held removals go: an operator's confirmation is a person's removal.
func (p *planner) release(w *work) {
	if p.guard.doubtful() { // policies and pools were kept as well
		w.inventory, w.freed[everyPool] = true, true
	}
	for _, name := range p.guard.release() {
		cluster, ok := strings.CutPrefix(name, clusterPrefix)
		claim, isClaim := strings.CutPrefix(name, claimPrefix)
		switch {
		case isClaim:
			w.unclaimed[claim] = record.CausePerson
		case !ok:
			w.removed[name] = record.CausePerson
		case !p.exists(cluster):
			w.clusters[cluster] = record.CausePerson
			w.inventory = true
		}
	}
}

package clusteragent

import (
	"github.com/meridian-federation/meridian/internal/object"
)

// mayRun refuses a workload whose pods would run in a namespace, or as an account, that is not Meridian's. Pods can read
// what is in their namespace and may do what their account may: neither was given to the application. A namespace and an
// account come before the workload, in order or in its batch.
func (d *desk) mayRun(id object.ID, m manifest) error {
	if !object.RunsPods(id.Group, id.Kind) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	namespace := object.ID{Version: "v1", Kind: "Namespace", Name: id.Namespace}
	account := object.ID{Version: "v1", Kind: "ServiceAccount", Namespace: id.Namespace, Name: m.account}
	switch {
	case !d.has(namespace):
		return refuse(reasonForeign, "%s is not Meridian's, and no pods are run there; set spec.adopt, or use another namespace",
			namespace.Short())
	case m.account != "" && !d.has(account):
		return refuse(reasonForeign, "%s is not Meridian's, and no pods are run as it; set spec.adopt, or rename", account.Short())
	}
	return nil
}

// has tells whether an object is there, and Meridian's.
func (d *desk) has(id object.ID) bool {
	e := d.entries[id.Key()]
	return e != nil && e.seen != nil && e.seen.ours() && e.rejection == nil
}

// bears tells whether an object is one that workloads stand on.
func bears(id object.ID) bool {
	return id.Group == "" && (id.Kind == "Namespace" || id.Kind == "ServiceAccount")
}

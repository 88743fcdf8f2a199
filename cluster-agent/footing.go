package clusteragent

import (
	"fmt"

	"github.com/meridian-federation/meridian/internal/feed"
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
	if err := d.bears(object.ID{Version: "v1", Kind: "Namespace", Name: id.Namespace}); err != nil || m.account == "" {
		return err
	}
	return d.bears(object.ID{Version: "v1", Kind: "ServiceAccount", Namespace: id.Namespace, Name: m.account})
}

// bears is nil if an object is there that is Meridian's. An object that is being put there is worth waiting for.
func (d *desk) bears(id object.ID) error {
	e := d.entries[id.Key()]
	switch {
	case e != nil && e.rejection != nil:
		return refuse(e.rejection.Reason, "its pods need %s, which was rejected: %s", id.Short(), e.rejection.Message)
	case e != nil && e.seen != nil && e.seen.ours():
		return nil
	case e != nil && e.want != nil && !e.want.gone:
		return fmt.Errorf("%s is not there yet", id.Short())
	}
	return refuse(reasonForeign, "its pods need %s, which is not Meridian's; set spec.adopt, or use another name", id.Short())
}

// isFooting tells whether an object is one that others need.
func isFooting(id object.ID) bool {
	return id.Group == "" && (id.Kind == "Namespace" || id.Kind == "ServiceAccount")
}

// standsOn tells whether a rejected object may pass now that a footing is there, after a rejection of its own or after
// none: all that is in a namespace, and workloads that lacked an account.
func (e *entry) standsOn(footing *entry, was *feed.Rejection) bool {
	if footing.id.Kind == "Namespace" {
		return e.id.Namespace == footing.id.Name
	}
	return e.id.Namespace == footing.id.Namespace && e.runsPods() && (was != nil || e.rejection.Reason == reasonForeign)
}

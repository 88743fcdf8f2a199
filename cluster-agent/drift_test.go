package clusteragent

import (
	"maps"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestDrift changes a managed object in each way that there is, and waits until it is as it was.
func TestDrift(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	a := newAdmin(t, shared)
	startAgent(t, shared, z, "drift")
	z.put(namespaceRecord(t, "drift"))
	without := func(name string) func(*unstructured.Unstructured) {
		return func(u *unstructured.Unstructured) {
			annotations := u.GetAnnotations()
			delete(annotations, name)
			u.SetAnnotations(annotations)
		}
	}
	tests := map[string]func(record.Key){
		"edited": func(key record.Key) {
			a.edit(key, func(u *unstructured.Unstructured) { setData(u, "theirs") })
		},
		"field removed": func(key record.Key) {
			a.edit(key, func(u *unstructured.Unstructured) { delete(u.Object, "data") })
		},
		"deleted": a.delete,
		"label removed": func(key record.Key) {
			a.edit(key, func(u *unstructured.Unstructured) { u.SetLabels(nil) })
		},
		"version removed": func(key record.Key) { a.edit(key, without(object.AnnotationVersion)) },
		"name of itself removed": func(key record.Key) {
			a.edit(key, without(object.AnnotationSelf))
		},
		"field manager removed": func(key record.Key) {
			a.edit(key, func(u *unstructured.Unstructured) { u.SetManagedFields([]metav1.ManagedFieldsEntry{{}}) })
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			cm := configMap(t, "drift", strings.ReplaceAll(name, " ", "-"), "ours")
			z.put(cm)
			id, _ := object.FromKey(cm.Key)
			before := a.mustGet(cm.Key)
			change(cm.Key)
			eventually(t, "the object as it was", func() bool {
				u, err := a.get(cm.Key)
				if err != nil || u.GetResourceVersion() == before.GetResourceVersion() {
					return false
				}
				value, _, _ := unstructured.NestedString(u.Object, "data", "key")
				s := look(id, u)
				return value == "ours" && s.ours() && s.version == cm.Version
			})
		})
	}
}

func setData(u *unstructured.Unstructured, value string) {
	u.Object["data"] = fields{"key": value}
}

// TestNotDrift shows that fields which others own are theirs.
func TestNotDrift(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	a := newAdmin(t, shared)
	startAgent(t, shared, z, "not-drift")
	cm := configMap(t, "not-drift", "a", "ours")
	z.put(namespaceRecord(t, "not-drift"), cm)
	before := len(agentWrites(t, shared, 0))
	a.edit(cm.Key, func(u *unstructured.Unstructured) {
		data := maps.Clone(u.Object["data"].(fields))
		data["other"] = "theirs"
		u.Object["data"] = data
		u.SetLabels(map[string]string{object.LabelManaged: object.ManagedValue, object.LabelApplication: "app", "team": "x"})
	})
	// A later change of another object has been seen when the earlier one must have been.
	sentinel := configMap(t, "not-drift", "sentinel", "ours")
	z.put(sentinel)
	a.delete(sentinel.Key)
	eventually(t, "the sentinel", func() bool { _, err := a.get(sentinel.Key); return err == nil })
	writes := agentWrites(t, shared, before)
	if slices.ContainsFunc(writes, func(w localkube.Write) bool { return w.Name == "a" }) {
		t.Errorf("writes %v, want none to the object with others' fields", writes)
	}
}

// TestDriftWithoutZone puts drift back while the zone is away.
func TestDriftWithoutZone(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	a := newAdmin(t, shared)
	startAgent(t, shared, z, "alone")
	cm := configMap(t, "alone", "a", "ours")
	z.put(namespaceRecord(t, "alone"), cm)
	z.stop()
	a.delete(cm.Key)
	eventually(t, "the object", func() bool { _, err := a.get(cm.Key); return err == nil })

	address := z.address
	z.start(address)
	next := configMap(t, "alone", "a", "newer")
	z.put(next)
	if got, _, _ := unstructured.NestedString(a.mustGet(cm.Key).Object, "data", "key"); got != "newer" {
		t.Errorf("data.key = %q, want newer", got)
	}
}

// TestRestart writes nothing again, and repairs what was changed while no agent ran.
func TestRestart(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	a := newAdmin(t, shared)
	first := startAgent(t, shared, z, "restart")
	app := application(t, "restart", "web")
	z.put(app...)
	first.stop()
	before := len(agentWrites(t, shared, 0))

	second := startAgent(t, shared, z, "restart")
	second.settle()
	if writes := agentWrites(t, shared, before); len(writes) != 0 {
		t.Errorf("after a restart with nothing changed: %v, want no writes", writes)
	}

	second.stop()
	cm := app[3].Key
	a.edit(cm, func(u *unstructured.Unstructured) { setData(u, "theirs") })
	a.delete(app[2].Key)
	third := startAgent(t, shared, z, "restart")
	eventually(t, "what was changed meanwhile", func() bool {
		value, _, _ := unstructured.NestedString(a.mustGet(cm).Object, "data", "key")
		_, err := a.get(app[2].Key)
		return value == "1" && err == nil
	})
	third.settle()
	if writes := agentWrites(t, shared, before); len(writes) != 2 {
		t.Errorf("writes %v, want the two that repair", resources(writes))
	}
}

// TestRemovedMeanwhile removes what the zone dropped while no agent ran.
func TestRemovedMeanwhile(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	a := newAdmin(t, shared)
	first := startAgent(t, shared, z, "meanwhile")
	kept, dropped := configMap(t, "meanwhile", "kept", "1"), configMap(t, "meanwhile", "dropped", "1")
	z.put(namespaceRecord(t, "meanwhile"), kept, dropped)
	first.stop()
	z.outbox.Edit(feed.Remove(dropped.Key, record.CausePerson))
	startAgent(t, shared, z, "meanwhile")
	eventually(t, "the removal", func() bool { _, err := a.get(dropped.Key); return apierrors.IsNotFound(err) })
	if _, err := a.get(kept.Key); err != nil {
		t.Errorf("the kept object: %v", err)
	}
}

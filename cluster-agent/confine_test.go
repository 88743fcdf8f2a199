package clusteragent

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	manifests "github.com/meridian-federation/meridian/deploy/agent"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestConfinement has an agent work under the policy that confines it, and tries with its rights what it has no need to do.
func TestConfinement(t *testing.T) {
	cleanUp(t, shared)
	z, a := newZone(t), newAdmin(t, shared)
	if err := install(t.Context(), shared, manifests.Confinement()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		at := a.Resource(roleResources["ValidatingAdmissionPolicyBinding"])
		if err := at.Delete(context.Background(), "meridian-agent", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	k, err := newKube(agentConfig(t, shared))
	if err != nil {
		t.Fatal(err)
	}
	try := func(r *record.Record) error {
		id, _ := object.FromKey(r.Key)
		at, err := k.at(id)
		if err != nil {
			t.Fatal(err)
		}
		force := true
		_, err = at.Patch(t.Context(), id.Name, types.ApplyPatchType, r.Content,
			metav1.PatchOptions{FieldManager: object.FieldManager, Force: &force, DryRun: []string{metav1.DryRunAll}})
		return err
	}
	// Policies reach admission by a watch, a moment later.
	eventually(t, "the policy", func() bool { return apierrors.IsInvalid(try(configMap(t, "kube-system", "a", "1"))) })

	startAgent(t, shared, z, "confined")
	app := append(application(t, "confined", "web"), compiled(t, idOf("", "ServiceAccount", "confined", "cart"), "cart", nil),
		runningAs(t, "Deployment", "confined", "cart", "cart"), runningAs(t, "CronJob", "confined", "till", "till"),
		compiled(t, idOf("", "ServiceAccount", "confined", "till"), "till", nil))
	z.put(app...)
	a.create(idOf("", "Namespace", "", "confined-adopted"), nil)
	adopted := compiled(t, idOf("", "Namespace", "", "confined-adopted"), "", nil, object.AnnotationAdopt)
	z.put(adopted)
	for _, r := range append(app, adopted) {
		if reason := z.rejection(r.Key); reason != "" {
			t.Errorf("%s was rejected for %q", r.Key.Name, reason)
		}
	}
	z.remove(adopted.Key) // is let go of
	if s := look(idOf("", "Namespace", "", "confined-adopted"), a.mustGet(adopted.Key)); !s.released {
		t.Errorf("the namespace is seen as %+v, want it released", s)
	}

	a.create(idOf("", "ConfigMap", "confined", "theirs"), nil)
	unmarked := *configMap(t, "confined", "unmarked", "1")
	unmarked.Content = []byte(strings.Replace(string(unmarked.Content), object.LabelManaged, "example.com/label", 1))
	copied := *configMap(t, "confined", "copied", "1")
	copied.Content = []byte(strings.Replace(string(copied.Content), `"name":"copied"`, `"name":"other"`, 1))
	copied.Key = idOf("", "ConfigMap", "confined", "other").Key()
	for name, tt := range map[string]struct {
		record *record.Record
		says   string
	}{
		"the cluster's namespace":           {namespaceRecord(t, "kube-system"), "namespace kube-system is not for Meridian's agent"},
		"a workload of the cluster's":       {runningAs(t, "Deployment", "kube-system", "climber", ""), "namespace kube-system is not for Meridian's agent"},
		"a workload where nobody asked":     {runningAs(t, "Deployment", "confined-adopted", "climber", ""), "no pods are run there"},
		"an account where nobody asked":     {compiled(t, idOf("", "ServiceAccount", "confined-adopted", "climber"), "climber", nil), "no pods are run there"},
		"another's account":                 {runningAs(t, "Deployment", "confined", "cart", "till"), "is not the application's own account"},
		"another's account, for jobs":       {runningAs(t, "CronJob", "confined", "cart", "till"), "is not the application's own account"},
		"without marks":                     {&unmarked, "does not carry Meridian's marks for itself"},
		"with another's marks":              {&copied, "does not carry Meridian's marks for itself"},
		"an object that is somebody else's": {configMap(t, "confined", "theirs", "1"), "exists and is not Meridian's"},
	} {
		if err := try(tt.record); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want it denied: %s", name, err, tt.says)
		}
	}
	at, err := k.at(idOf("", "ConfigMap", "confined", "theirs"))
	if err != nil {
		t.Fatal(err)
	}
	if err := at.Delete(t.Context(), "theirs", metav1.DeleteOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("deleting somebody else's object: %v, want the policy to deny it", err)
	}
	z.remove(keysOf(app)...)
	eventually(t, "the end of the application", func() bool { return a.away(app[:5]) })
}

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// TestBadApplicationsSayWhatIsWrong submits applications that cannot run as written. Each is refused with a reason that
// a person can act on; what of it is right, runs; all others are left alone.
func TestBadApplicationsSayWhatIsWrong(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "bad")
	f.submit(t, appSpec{namespace: "bad", name: "owner", clusters: only(eastA1), extra: settings("shared-settings")}.manifest())
	f.ready(t, "bad", "owner")
	since := f.mark(t)

	for _, c := range []struct {
		name      string
		app       appSpec
		condition string
		reason    string
		says      []string
		converges bool
	}{
		{name: "template that every cluster would refuse", app: appSpec{name: "no-volume", pod: "volumeMounts: [{name: data, mountPath: /data}]\n"},
			condition: v1alpha1.ConditionAccepted, reason: v1alpha1.ReasonInvalidTemplate, says: []string{"volumeMounts[0].name", `"data"`}},
		{name: "unknown dependency", app: appSpec{name: "unknown-dependency", dependsOn: []string{"owner", "nobody"}},
			condition: v1alpha1.ConditionDependenciesResolved, reason: v1alpha1.ReasonDependencyNotFound, says: []string{"bad/nobody"}, converges: true},
		{name: "dependency in another namespace", app: appSpec{name: "other-namespace", dependsOn: []string{"{name: cart, namespace: shop}"}},
			condition: v1alpha1.ConditionDependenciesResolved, reason: v1alpha1.ReasonDependencyDenied, says: []string{"no AccessPolicy in namespace shop lets bad/other-namespace call cart"}, converges: true},
		{name: "empty placement", app: appSpec{name: "nowhere", clusters: only("no-such-cluster")},
			condition: v1alpha1.ConditionPlaced, reason: v1alpha1.ReasonNoMatchingCluster, says: []string{"cluster"}},
		{name: "300 KB of resources", app: appSpec{name: "large", extra: largeResource(300 << 10)},
			condition: v1alpha1.ConditionAccepted, reason: v1alpha1.ReasonSpecTooLarge, says: []string{"KiB", "at most 256"}},
		{name: "object of another application", app: appSpec{name: "thief", extra: settings("shared-settings")},
			condition: v1alpha1.ConditionAccepted, reason: v1alpha1.ReasonObjectOwnedByAnother, says: []string{"ConfigMap bad/shared-settings", "bad/owner"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.app.namespace = "bad"
			if c.app.clusters == "" {
				c.app.clusters = only(eastA1)
			}
			f.submit(t, c.app.manifest())
			app := f.hasCondition(t, "bad", c.app.name, c.condition, c.reason)
			for _, want := range c.says {
				if !strings.Contains(app.Status.Message, want) {
					t.Errorf("the message does not say %q: %s", want, app.Status.Message)
				}
			}
			if c.converges {
				f.hasCondition(t, "bad", c.app.name, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			}
			listed := f.meridian(t, "get", "application", c.app.name, "-n", "bad")
			if !strings.Contains(listed, c.says[0]) {
				t.Errorf("`meridian get` does not say %q:\n%s", c.says[0], listed)
			}
		})
	}

	t.Run("only what is right was written", func(t *testing.T) {
		var want []string
		for _, name := range []string{"other-namespace", "unknown-dependency"} {
			for _, resource := range []string{"serviceaccounts", "networkpolicies", "authorizationpolicies", "services", "sidecars", "deployments"} {
				want = append(want, fmt.Sprintf("patch %s bad/%s", resource, name))
			}
		}
		// What the second one may call is now called.
		want = append(want, "patch destinationrules bad/owner", "patch networkpolicies bad/owner.proxied")
		f.wrote(t, since, map[string][]string{eastA1: want})
	})
	t.Run("the object passes on when its owner goes", func(t *testing.T) {
		f.deleteApp(t, "bad", "owner")
		f.ready(t, "bad", "thief")
	})
}

// TestClusterRefusesATemplate has a template that only an API server finds fault with. It is tried again, ever more rarely.
func TestClusterRefusesATemplate(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "limits")
	f.submit(t, appSpec{namespace: "limits", name: "first", clusters: only(eastA1)}.manifest())
	f.ready(t, "limits", "first") // a namespace that comes to be has what was refused in it tried at once
	since := f.mark(t)
	app := appSpec{namespace: "limits", name: "web", clusters: only(eastA1), pod: "resources: {requests: {cpu: 2}, limits: {cpu: 1}}\n"}
	f.submit(t, app.manifest())
	await(t, "the hub shows what the cluster says", func(ctx context.Context) error {
		got, err := f.app(ctx, "limits", "web")
		if err != nil {
			return err
		}
		for _, p := range got.Status.Problems {
			if p.Cluster == eastA1 && p.Object == "Deployment limits/web" && strings.Contains(p.Message, "must be less than or equal to cpu limit") {
				return nil
			}
		}
		return fmt.Errorf("problems are %+v", got.Status.Problems)
	})
	var tries []time.Time
	await(t, "it was tried four times", func(context.Context) error {
		tries = nil
		for _, w := range f.agentWrites(t, eastA1)[since[eastA1]:] {
			if w.Code == http.StatusUnprocessableEntity && w.Namespace == "limits" {
				tries = append(tries, w.Time)
			}
		}
		return wrong("at least four tries", len(tries) >= 4, true)
	})
	for i, least := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		if pause := tries[i+1].Sub(tries[i]); pause < least {
			t.Errorf("try %d came %v after the one before, want at least %v", i+2, pause, least)
		}
	}
	app.pod = ""
	f.submit(t, app.manifest())
	f.ready(t, "limits", "web")
}

// TestNamesAreBounded holds the limit on names from both sides.
func TestNamesAreBounded(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "names")
	name := strings.Repeat("n", v1alpha1.MaxApplicationName)
	f.submit(t, appSpec{namespace: "names", name: name, clusters: only(eastA1)}.manifest())
	f.ready(t, "names", name)

	err := f.apply(t.Context(), appSpec{namespace: "names", name: name + "n", clusters: only(eastA1)}.manifest())
	if err == nil || !strings.Contains(err.Error(), "40") {
		t.Errorf("a name of %d characters: got %v, want an error that names the limit", len(name)+1, err)
	}
}

// TestNamespaceNeedsAnEnvironment asks for the label.
func TestNamespaceNeedsAnEnvironment(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "unlabelled")
	f.submit(t, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: unlabelled\n") // takes the label away again
	f.submit(t, appSpec{namespace: "unlabelled", name: "web"}.manifest())
	app := f.hasCondition(t, "unlabelled", "web", v1alpha1.ConditionAccepted, v1alpha1.ReasonNamespaceHasNoEnvironment)
	if !strings.Contains(app.Status.Message, v1alpha1.LabelEnvironment) {
		t.Errorf("the message does not name the label: %s", app.Status.Message)
	}
	f.submit(t, namespaceManifest("unlabelled"))
	f.ready(t, "unlabelled", "web")
}

// hasCondition waits until an application's status is current and a condition has a reason. A reason that is the
// condition's own name stands for True.
func (f *federation) hasCondition(t *testing.T, namespace, name, kind, reason string) *v1alpha1.Application {
	t.Helper()
	var app *v1alpha1.Application
	await(t, fmt.Sprintf("%s/%s has %s for %s", namespace, name, kind, reason), func(ctx context.Context) (err error) {
		if app, err = f.app(ctx, namespace, name); err != nil {
			return err
		}
		c := meta.FindStatusCondition(app.Status.Conditions, kind)
		good := []string{v1alpha1.ReasonReady, v1alpha1.ReasonAccepted, v1alpha1.ReasonPlaced, v1alpha1.ReasonResolved}
		if c == nil || c.ObservedGeneration != app.Generation || c.Reason != reason ||
			(c.Status == metav1.ConditionTrue) != slices.Contains(good, reason) {
			return fmt.Errorf("got %+v; message %q", c, app.Status.Message)
		}
		return nil
	})
	return app
}

// largeResource is a ConfigMap of so many bytes.
func largeResource(n int) string {
	return "resources:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: large}\n  data: {text: " + strings.Repeat("x", n) + "}\n"
}

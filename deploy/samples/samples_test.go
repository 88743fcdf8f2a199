package samples

import (
	"cmp"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

func TestDocumentsAreWholeAndResolve(t *testing.T) {
	t.Parallel()
	namespaces := map[string]bool{}
	apps := map[string]*v1alpha1.Application{}
	policies := map[string][]*v1alpha1.AccessPolicy{}
	externals := map[string]*v1alpha1.ExternalService{}
	for _, doc := range Documents() {
		var head struct {
			metav1.TypeMeta   `json:",inline"`
			metav1.ObjectMeta `json:"metadata"`
		}
		if err := yaml.Unmarshal(doc, &head); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		switch head.Kind {
		case "Namespace":
			namespaces[head.Name] = true
			for _, label := range []string{v1alpha1.LabelTenant, v1alpha1.LabelEnvironment} {
				if head.Labels[label] == "" {
					t.Errorf("namespace %s has no label %s", head.Name, label)
				}
			}
		case "Application":
			app := new(v1alpha1.Application)
			if err := yaml.UnmarshalStrict(doc, app); err != nil {
				t.Fatalf("application %s: %v", head.Name, err)
			}
			if !namespaces[app.Namespace] {
				t.Errorf("application %s comes before its namespace %q", app.Name, app.Namespace)
			}
			apps[app.Namespace+"/"+app.Name] = app
		case "AccessPolicy":
			policy := new(v1alpha1.AccessPolicy)
			if err := yaml.UnmarshalStrict(doc, policy); err != nil {
				t.Fatalf("access policy %s: %v", head.Name, err)
			}
			if !namespaces[policy.Namespace] {
				t.Errorf("access policy %s comes before its namespace %q", policy.Name, policy.Namespace)
			}
			policies[policy.Namespace] = append(policies[policy.Namespace], policy)
		case "ExternalService":
			external := new(v1alpha1.ExternalService)
			if err := yaml.UnmarshalStrict(doc, external); err != nil {
				t.Fatalf("external service %s: %v", head.Name, err)
			}
			if !namespaces[external.Namespace] {
				t.Errorf("external service %s comes before its namespace %q", external.Name, external.Namespace)
			}
			externals[external.Namespace+"/"+external.Name] = external
		default:
			t.Errorf("unexpected kind %q in\n%s", head.Kind, doc)
		}
	}
	if got, want := len(apps), 4+11; got != want {
		t.Errorf("got %d applications, want %d", got, want)
	}
	called := map[string]bool{}
	for name, app := range apps {
		for _, dep := range app.Spec.DependsOn {
			namespace := cmp.Or(dep.Namespace, app.Namespace)
			if dep.Kind == v1alpha1.DependencyExternalService {
				called[namespace+"/"+dep.Name] = true
				external := externals[namespace+"/"+dep.Name]
				if external == nil || namespace != app.Namespace && !slices.Contains(external.Spec.Consumers,
					v1alpha1.CallerSelector{Namespace: app.Namespace, Application: app.Name}) {
					t.Errorf("%s depends on ExternalService %s/%s, which is no sample, or does not let it", name, namespace, dep.Name)
				}
				continue
			}
			target, ok := apps[namespace+"/"+dep.Name]
			if !ok {
				t.Errorf("%s depends on %s/%s, which is no sample", name, namespace, dep.Name)
				continue
			}
			if len(target.Spec.Ports) == 0 {
				t.Errorf("%s depends on %s, which has no ports", name, dep.Name)
			}
			if namespace != app.Namespace && !slices.ContainsFunc(policies[namespace], lets(app)) {
				t.Errorf("%s depends on %s/%s, and no policy there lets it", name, namespace, dep.Name)
			}
		}
	}
	for name := range externals {
		if !called[name] {
			t.Errorf("nobody depends on ExternalService %s", name)
		}
	}
}

// lets tells of a policy whether it names an application as a caller.
func lets(app *v1alpha1.Application) func(*v1alpha1.AccessPolicy) bool {
	return func(p *v1alpha1.AccessPolicy) bool {
		return slices.ContainsFunc(p.Spec.Rules, func(r v1alpha1.AccessRule) bool {
			return slices.Contains(r.From, v1alpha1.CallerSelector{Namespace: app.Namespace, Application: app.Name})
		})
	}
}

// TestPools holds that there is a pool for what the applications and the clusters of a local run ask for.
func TestPools(t *testing.T) {
	t.Parallel()
	purposes := map[v1alpha1.IPPurpose]bool{}
	for _, doc := range Pools() {
		pool := new(v1alpha1.IPPool)
		if err := yaml.UnmarshalStrict(doc, pool); err != nil || pool.Kind != "IPPool" {
			t.Fatalf("%v, kind %q in\n%s", err, pool.Kind, doc)
		}
		if pool.Spec.Network != "" {
			t.Errorf("pool %s is for network %s, want one for all clusters", pool.Name, pool.Spec.Network)
		}
		purposes[pool.Spec.Purpose] = true
	}
	for _, purpose := range []v1alpha1.IPPurpose{v1alpha1.PurposeService, v1alpha1.PurposeLoadBalancer} {
		if !purposes[purpose] {
			t.Errorf("no pool is for %s", purpose)
		}
	}
}

// TestCallableApplicationsAskForAddresses holds that whatever can be called has an address.
func TestCallableApplicationsAskForAddresses(t *testing.T) {
	t.Parallel()
	for _, doc := range Documents() {
		app := new(v1alpha1.Application)
		if err := yaml.Unmarshal(doc, app); err != nil || app.Kind != "Application" {
			continue
		}
		if asks := app.Spec.Address != nil; asks != (len(app.Spec.Ports) > 0) {
			t.Errorf("%s/%s has %d ports, and asks for an address: %t", app.Namespace, app.Name, len(app.Spec.Ports), asks)
		}
	}
}

package clusteragent

import (
	"context"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/internal/object"
)

// request is VERB GROUP/RESOURCE[/SUBRESOURCE] [NAMESPACE/]NAME, with "core" for the empty group.
type request string

func (r request) attributes() *authorizationv1.ResourceAttributes {
	f := strings.Fields(string(r))
	kind, at := strings.SplitN(f[1], "/", 3), strings.SplitN(f[2], "/", 2)
	a := &authorizationv1.ResourceAttributes{Verb: f[0], Group: kind[0], Version: "*", Resource: kind[1], Name: at[len(at)-1]}
	if a.Group == "core" {
		a.Group = ""
	}
	if len(kind) == 3 {
		a.Subresource = kind[2]
	}
	if len(at) == 2 {
		a.Namespace = at[0]
	}
	return a
}

// TestRole asks a real API server what the agent's role allows. All other tests here run with that role, so that what it
// lacks would show there.
func TestRole(t *testing.T) {
	client, err := kubernetes.NewForConfig(agentConfig(t, shared))
	if err != nil {
		t.Fatal(err)
	}
	may := func(r request) bool {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: r.attributes()}}
		review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return review.Status.Allowed
	}
	for _, m := range object.Kinds() {
		group := m.Group
		if group == "" {
			group = "core"
		}
		for _, verb := range []string{"get", "list", "watch", "create", "patch", "delete"} {
			if r := request(verb + " " + group + "/" + m.Resource + " shop/cart"); !may(r) {
				t.Errorf("%s: refused, and the agent needs it", r)
			}
		}
		for _, verb := range []string{"update", "deletecollection", "escalate", "bind", "impersonate", "use", "*"} {
			if r := request(verb + " " + group + "/" + m.Resource + " shop/cart"); may(r) {
				t.Errorf("%s: allowed, and the agent has no use for it", r)
			}
		}
	}
	for _, r := range []request{"get coordination.k8s.io/leases meridian-system/meridian-agent",
		"create coordination.k8s.io/leases meridian-system/meridian-agent",
		"update coordination.k8s.io/leases meridian-system/meridian-agent"} {
		if !may(r) {
			t.Errorf("%s: refused, and the agent needs it", r)
		}
	}
	for _, r := range []request{
		"create coordination.k8s.io/leases meridian-system/other", "update coordination.k8s.io/leases meridian-system/other",
		"delete coordination.k8s.io/leases meridian-system/meridian-agent", "update coordination.k8s.io/leases kube-system/kube-scheduler",
		"get core/secrets shop/cart", "list core/secrets shop/cart", "watch core/secrets shop/cart", "create core/secrets shop/cart",
		"create core/serviceaccounts/token shop/cart", "impersonate core/users x/admin", "impersonate core/groups x/system:masters",
		"impersonate core/serviceaccounts kube-system/default",
		"create core/pods shop/cart", "get core/pods shop/cart", "create core/pods/exec shop/cart", "get core/pods/exec shop/cart",
		"create core/pods/attach shop/cart", "create core/pods/portforward shop/cart", "get core/pods/log shop/cart",
		"patch core/pods/ephemeralcontainers shop/cart", "create core/pods/eviction shop/cart", "create core/pods/binding shop/cart",
		"get core/nodes/proxy n", "patch core/nodes n", "create core/services/proxy shop/cart", "create core/persistentvolumes v",
		"patch core/namespaces/finalize shop", "patch apps/deployments/scale shop/cart", "patch apps/deployments/status shop/cart",
		"create apps/daemonsets shop/cart", "create apps/statefulsets shop/cart", "create apps/replicasets shop/cart", "create batch/jobs shop/cart",
		"create rbac.authorization.k8s.io/roles shop/cart", "create rbac.authorization.k8s.io/rolebindings shop/cart",
		"list rbac.authorization.k8s.io/roles shop/cart", "list rbac.authorization.k8s.io/rolebindings shop/cart",
		"patch rbac.authorization.k8s.io/clusterroles meridian-agent", "create rbac.authorization.k8s.io/clusterrolebindings x",
		"escalate rbac.authorization.k8s.io/clusterroles meridian-agent", "bind rbac.authorization.k8s.io/clusterroles cluster-admin",
		"create admissionregistration.k8s.io/mutatingwebhookconfigurations x", "delete admissionregistration.k8s.io/validatingadmissionpolicybindings x",
		"create apiextensions.k8s.io/customresourcedefinitions x", "create apiregistration.k8s.io/apiservices x",
		"create certificates.k8s.io/certificatesigningrequests x", "update certificates.k8s.io/certificatesigningrequests/approval x",
		"create networking.istio.io/envoyfilters shop/cart", "create extensions.istio.io/wasmplugins shop/cart",
		"* */* shop/cart",
	} {
		if may(r) {
			t.Errorf("%s: allowed", r)
		}
	}
}

// TestRoleHoldsInPractice tries the ways up that an agent which was taken over would try first.
func TestRoleHoldsInPractice(t *testing.T) {
	cfg := agentConfig(t, shared)
	agent, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	masquerading := rest.CopyConfig(cfg)
	masquerading.Impersonate.UserName = "admin"
	masked, err := kubernetes.NewForConfig(masquerading)
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func(context.Context) error{
		"another's name": func(ctx context.Context) error {
			_, err := masked.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
			return err
		},
		"all Secrets": func(ctx context.Context) error {
			_, err := agent.CoreV1().Secrets("").List(ctx, metav1.ListOptions{})
			return err
		},
		"more rights for its own role": func(ctx context.Context) error {
			_, err := agent.RbacV1().ClusterRoles().Patch(ctx, "meridian-agent", "application/json-patch+json",
				[]byte(`[{"op":"add","path":"/rules/-","value":{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}}]`), metav1.PatchOptions{})
			return err
		},
		"everything of a kind at once": func(ctx context.Context) error {
			return agent.CoreV1().ConfigMaps("default").DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		},
		"another's lease": func(ctx context.Context) error {
			_, err := agent.CoordinationV1().Leases(systemNamespace).Patch(ctx, "other", "application/apply-patch+yaml",
				[]byte(`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"other"}}`), metav1.PatchOptions{FieldManager: "x"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := try(t.Context()); !apierrors.IsForbidden(err) {
				t.Errorf("got %v, want it forbidden", err)
			}
		})
	}
}

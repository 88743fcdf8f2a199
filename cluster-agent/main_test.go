package clusteragent

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	manifests "github.com/meridian-federation/meridian/deploy/agent"
	"github.com/meridian-federation/meridian/internal/localkube"
)

// shared is the real API server that most tests use, one after another, in namespaces of their own. It has the
// controllers that finish deletions and no others, Istio's definitions, and an agent user that has the agent's role and nothing else.
var shared *localkube.Cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		return m.Run() // each of the fuzzer's processes would start an API server that its target does not need
	}
	dir, err := os.MkdirTemp("", "meridian-agent-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if shared, err = startShared(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := shared.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func startShared(ctx context.Context, dir string) (*localkube.Cluster, error) {
	root, err := localkube.FindRoot("")
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(root, "bin")
	if err := localkube.Build(ctx, root, bin, func(s string) { slog.Info(s) }); err != nil {
		return nil, err
	}
	c, err := localkube.Start(ctx, localkube.Config{Name: "shared", BinDir: bin, Dir: dir, NoWorkloads: true, AuditLog: true})
	if err != nil {
		return nil, err
	}
	err = c.InstallIstioCRDs(ctx)
	if err == nil {
		err = installRole(ctx, c)
	}
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

var roleResources = map[string]schema.GroupVersionResource{
	"Namespace":          {Version: "v1", Resource: "namespaces"},
	"ServiceAccount":     {Version: "v1", Resource: "serviceaccounts"},
	"ClusterRole":        {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	"ClusterRoleBinding": {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
	"Role":               {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
	"RoleBinding":        {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},

	"ValidatingAdmissionPolicy":        {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"},
	"ValidatingAdmissionPolicyBinding": {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"},
}

func installRole(ctx context.Context, c *localkube.Cluster) error {
	return install(ctx, c, manifests.RBAC())
}

func install(ctx context.Context, c *localkube.Cluster, content []byte) error {
	d, err := dynamic.NewForConfig(c.RESTConfig())
	if err != nil {
		return err
	}
	dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		u := &unstructured.Unstructured{}
		if err := dec.Decode(u); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		at := d.Resource(roleResources[u.GetKind()]).Namespace(u.GetNamespace())
		if _, err := at.Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: "admin", Force: true}); err != nil {
			return err
		}
	}
}

// agentConfig is the configuration of a user with the agent's role.
func agentConfig(t testing.TB, c *localkube.Cluster) *rest.Config {
	t.Helper()
	cfg, err := c.UserRESTConfig(localkube.AgentUser)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

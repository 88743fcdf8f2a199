package localkube_test

import (
	"context"
	"path/filepath"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meridian-federation/meridian/internal/localkube"
)

func testUsers(t *testing.T, c *localkube.Cluster) {
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := c.WriteKubeconfig(localkube.AgentUser, file); err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	agent, admin := clientOf(t, cfg), clientOf(t, c.RESTConfig())

	_, err = agent.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("agents"), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("without a role: %v, want forbidden", err)
	}
	grantConfigMaps(t, admin)
	// Roles reach the authorizer by a watch, a moment later.
	eventually(t, "the agent may write", func(ctx context.Context) (bool, error) {
		_, err := agent.CoreV1().ConfigMaps("default").Create(ctx, configMap("agents"), metav1.CreateOptions{})
		if apierrors.IsForbidden(err) {
			return false, nil
		}
		return err == nil, err
	})
}

func grantConfigMaps(t *testing.T, admin kubernetes.Interface) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: "config-writers"}
	_, err := admin.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: meta,
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: localkube.AgentGroup}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

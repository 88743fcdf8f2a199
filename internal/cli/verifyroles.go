package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/meridian-federation/meridian/deploy/agent"
	"github.com/meridian-federation/meridian/internal/verify"
)

// roles are the roles and bindings of a cluster, or of the agent's manifests.
type roles struct {
	clusterRoles, roles map[string][]rbacv1.PolicyRule // by name, by namespace/name
	clusterBindings     []rbacv1.ClusterRoleBinding
	bindings            []rbacv1.RoleBinding
}

// take adds an object, whatever it is.
func (r *roles) take(o *unstructured.Unstructured) error {
	into := func(v any) error { return runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, v) }
	switch o.GetKind() {
	case "ClusterRole":
		var role rbacv1.ClusterRole
		err := into(&role)
		r.clusterRoles[role.Name] = role.Rules
		return err
	case "Role":
		var role rbacv1.Role
		err := into(&role)
		r.roles[role.Namespace+"/"+role.Name] = role.Rules
		return err
	case "ClusterRoleBinding":
		var b rbacv1.ClusterRoleBinding
		err := into(&b)
		r.clusterBindings = append(r.clusterBindings, b)
		return err
	case "RoleBinding":
		var b rbacv1.RoleBinding
		err := into(&b)
		r.bindings = append(r.bindings, b)
		return err
	}
	return nil
}

// rights are what the subjects are given.
func (r *roles) rights(subjects []rbacv1.Subject) []verify.Rights {
	bound := func(to []rbacv1.Subject) bool {
		return slices.ContainsFunc(to, func(s rbacv1.Subject) bool { return slices.Contains(subjects, s) })
	}
	var out []verify.Rights
	for _, b := range r.clusterBindings {
		if bound(b.Subjects) {
			out = append(out, verify.Rights{Role: "ClusterRole " + b.RoleRef.Name, Rules: r.clusterRoles[b.RoleRef.Name]})
		}
	}
	for _, b := range r.bindings {
		if !bound(b.Subjects) {
			continue
		}
		rules := r.roles[b.Namespace+"/"+b.RoleRef.Name]
		if b.RoleRef.Kind == "ClusterRole" {
			rules = r.clusterRoles[b.RoleRef.Name]
		}
		out = append(out, verify.Rights{Role: b.RoleRef.Kind + " " + b.RoleRef.Name, Namespace: b.Namespace, Rules: rules})
	}
	return out
}

func newRoles() *roles {
	return &roles{clusterRoles: map[string][]rbacv1.PolicyRule{}, roles: map[string][]rbacv1.PolicyRule{}}
}

// agentRoles are the manifests that a cluster is set up with.
func agentRoles() (*roles, error) {
	out := newRoles()
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(agent.RBAC()), 4096); ; {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err == nil {
			err = out.take(o)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the agent's manifests: %w", err)
		}
	}
}

// agent holds the rights of the agent's account and group against those of its manifests.
func (l *liveCluster) agent(ctx context.Context) (verify.Agent, error) {
	wanted, err := agentRoles()
	if err != nil {
		return verify.Agent{}, err
	}
	given := newRoles()
	for _, resource := range []string{"clusterroles", "roles", "clusterrolebindings", "rolebindings"} {
		found, _, err := l.list(ctx, rbacv1.SchemeGroupVersion.WithResource(resource), "")
		if err != nil {
			return verify.Agent{}, err
		}
		for _, o := range found {
			if err := given.take(o); err != nil {
				return verify.Agent{}, fmt.Errorf("reading %s %s: %w", resource, o.GetName(), err)
			}
		}
	}
	subjects := wanted.clusterBindings[0].Subjects
	return verify.Agent{Cluster: l.name, Wanted: wanted.rights(subjects), Given: given.rights(subjects)}, nil
}

package agent_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/meridian-federation/meridian/deploy/agent"
	"github.com/meridian-federation/meridian/internal/object"
)

// manage is what the agent does with the kinds that it manages.
var manage = []string{"get", "list", "watch", "create", "patch", "delete"}

// TestRoleIsOfTheKinds holds the role against object.Kinds, in both directions.
func TestRoleIsOfTheKinds(t *testing.T) {
	kinds := map[string]bool{}
	for _, k := range object.Kinds() {
		kinds[k.Group+"/"+k.Resource] = true
	}
	granted := map[string]bool{}
	for _, rule := range clusterRole(t).Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				name := group + "/" + resource
				switch {
				case slices.Equal(rule.Verbs, manage):
					granted[name] = true
				case resource == "secrets", group == rbacv1.GroupName, strings.Contains(name, "*"), strings.Contains(resource, "/"):
					t.Errorf("the role lets the agent %v %s", rule.Verbs, name)
				case name == "discovery.k8s.io/endpointslices" && slices.Equal(rule.Verbs, []string{"list", "watch"}):
				case name == "networking.k8s.io/servicecidrs" && slices.Equal(rule.Verbs, []string{"list", "watch"}):
				case name == "/nodes" && slices.Equal(rule.Verbs, []string{"list", "watch"}):
				case slices.Equal(rule.Verbs, []string{"list"}):
				default:
					t.Errorf("the role lets the agent %v %s, which it does not need", rule.Verbs, name)
				}
			}
		}
	}
	for name := range kinds {
		if !granted[name] {
			t.Errorf("the role does not let the agent %v %s", manage, name)
		}
	}
	for name := range granted {
		if !kinds[name] {
			t.Errorf("the role lets the agent manage %s, which is not in object.Kinds", name)
		}
	}
}

func clusterRole(t *testing.T) rbacv1.ClusterRole {
	t.Helper()
	dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(agent.RBAC()), 4096)
	for {
		var role rbacv1.ClusterRole
		err := dec.Decode(&role)
		if errors.Is(err, io.EOF) {
			t.Fatal("there is no ClusterRole")
		}
		if err != nil {
			t.Fatal(err)
		}
		if role.Kind == "ClusterRole" {
			return role
		}
	}
}

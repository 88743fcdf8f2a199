package az_test

import (
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

// holdsOf tells how many objects of a kind a cluster holds of an application, by name.
func holdsOf(held map[record.Key]record.Record, kind, name string) int {
	n := 0
	for key := range held {
		if strings.Contains(key.Name, "/"+kind+"/") && strings.HasSuffix(key.Name, "/"+name) {
			n++
		}
	}
	return n
}

// TestMemberWaitsForPrimary has an application placed in a cluster whose istiod runs in another, which is away: nothing of it
// starts before the other has taken in who may call it, and that stays there until nothing runs any more.
func TestMemberWaitsForPrimary(t *testing.T) {
	z := newZone(t, "c1", "c2")
	member := cluster("c2")
	member.Mesh.Primary = "c1"
	z.parent.Put(member.Record())
	primary, remote := z.agents["c1"], z.agents["c2"]
	tiertest.Await(t, "both agents are there", func() bool { return primary.Connected() && remote.Connected() })
	primary.Stop()
	a := app{name: "cart", image: "cart:1", replicas: 1, placement: `{"mode":"Divided","clusters":{"matchLabels":{"meridian.dev/name":"c2"}}}`}
	z.submit(a)
	z.parent.AwaitStatus(t, "n/cart", "it waits for the primary", func(s record.Status) bool {
		return len(s.Problems) == 1 && s.Problems[0].Reason == "PrimaryBehind" && s.Problems[0].Cluster == "c2"
	})
	if got := holdsOf(remote.Held(), "Deployment", "cart"); got > 0 {
		t.Error("it runs where nobody has been told who may call it")
	}
	primary.Start()
	z.parent.AwaitStatus(t, "n/cart", "it is ready", ready(a.hash(), 1))
	if got := holdsOf(primary.Held(), "AuthorizationPolicy", "cart"); got != 1 {
		t.Errorf("it is ready, and the primary has %d AuthorizationPolicies of it", got)
	}
	remote.Stop()
	z.remove(a)
	late := app{name: "late", image: "late:1", replicas: 1, placement: `{"mode":"Divided","clusters":{"matchLabels":{"meridian.dev/name":"c1"}}}`}
	z.submit(late)
	z.parent.AwaitStatus(t, "n/late", "what was submitted after the removal is ready", ready(late.hash(), 1))
	if got := holdsOf(primary.Held(), "AuthorizationPolicy", "cart"); got != 1 {
		t.Error("who may call it is gone while it may still run")
	}
	remote.Start()
	remote.Await(t, "it is gone from the member", func(held map[record.Key]record.Record) bool {
		return holdsOf(held, "Deployment", "cart") == 0
	})
	primary.Await(t, "who may call it is gone", func(held map[record.Key]record.Record) bool {
		return holdsOf(held, "AuthorizationPolicy", "cart") == 0
	})
}

// TestLocationWithoutRegion shows that a count goes from one cluster of a zone to another under an istiod of its own with no
// region there.
func TestLocationWithoutRegion(t *testing.T) {
	z := newZone(t, "c1", "c2")
	for name, network := range map[string]string{"c1": "blue", "c2": "green"} {
		c := cluster(name)
		c.Network, c.Mesh.Gateway = network, record.Gateway{Addresses: []string{"192.0.2." + name[1:]}, Namespace: "istio-system",
			Selector: map[string]string{"istio": "eastwest"}}
		z.parent.Put(c.Record())
	}
	at := func(name, cluster string, dependencies ...string) {
		a := app{name: name, image: name + ":1", replicas: 1,
			placement: `{"mode":"Divided","clusters":{"matchLabels":{"meridian.dev/name":"` + cluster + `"}}}`}
		z.submit(a)
		_, r := a.records()
		assignment, err := record.DecodeAssignment(r)
		if err != nil {
			t.Fatal(err)
		}
		assignment.Dependencies = dependencies
		z.parent.Put(assignment.Record())
		z.parent.AwaitStatus(t, "n/"+name, name+" is ready", ready(a.hash(), 1))
	}
	z.parent.Put(record.Service{Namespace: "n", Application: "cart", Environment: "prod", ServiceAccount: "cart",
		Ports: []record.Port{{Name: "http", Port: 80, TargetPort: 80, Protocol: "TCP"}}}.Record(),
		record.Audience{Namespace: "n", Application: "cart", Namespaces: []string{"n"}, Zones: []string{"a"}, Networks: []string{"green"}}.Record())
	at("cart", "c1")
	at("web", "c2", "n/cart")
	z.parent.AwaitInSync(t)
	z.parent.Stop()
	for _, weight := range []string{`"weight":2`, "", `"weight":5`} {
		switch weight {
		case "":
			z.tell("c1", 0)
		default:
			z.tell("c1", int32(weight[len(weight)-1]-'0'))
		}
		z.agents["c2"].Await(t, "the entry has "+weight, func(held map[record.Key]record.Record) bool {
			for key, r := range held {
				if strings.Contains(key.Name, "/WorkloadEntry/") {
					return weight != "" && strings.Contains(string(r.Content), weight) && strings.Contains(string(r.Content), "192.0.2.1")
				}
			}
			return weight == ""
		})
	}
	z.parent.Start(t)
	z.parent.AwaitSession(t, "the region is back", func(s feed.Status) bool { return s.Heard })
}

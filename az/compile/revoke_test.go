package compile_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/graphtest"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// policyOf edits the policy of an application as it is in the world.
func policyOf(w *graphtest.World, id string, edit func(*record.Policy)) store.Write {
	namespace, name, _ := strings.Cut(id, "/")
	p, _ := record.DecodePolicy(find(w, record.PolicyKey(namespace, name)))
	edit(&p)
	return put(p.Record())
}

// TestRevocationWaitsForNothing has a policy take callers away from an application that cannot be compiled, or not yet: they
// are gone at once, what comes from the spec stays as it was, and the problem stays until all can be compiled.
func TestRevocationWaitsForNothing(t *testing.T) {
	binding := func(w *graphtest.World, edit func(*record.Binding)) store.Write {
		b, _ := record.DecodeBinding(find(w, record.BindingKey("n", "a", "c1")))
		edit(&b)
		return put(b.Record())
	}
	revoke := func(w *graphtest.World) store.Write {
		return policyOf(w, "n/a", func(p *record.Policy) {
			p.Rules = []record.Rule{{Policy: "p", Callers: []record.Caller{{Namespace: "kept"}}}}
		})
	}
	tests := map[string]struct {
		fail   func(w *graphtest.World) store.Write
		revoke func(w *graphtest.World) store.Write
		reason string
		rules  int // of the AuthorizationPolicy, the namespace's own among them; 0 is not to be held
	}{
		"revision missing": {fail: func(w *graphtest.World) store.Write {
			return binding(w, func(b *record.Binding) { b.Revision = strings.Repeat("0", len(b.Revision)) })
		}, revoke: revoke, reason: "RevisionMissing"},
		"generation unknown": {fail: func(w *graphtest.World) store.Write {
			return binding(w, func(b *record.Binding) { b.Generation = 99 })
		}, revoke: revoke, reason: "CompileFailed"},
		"another rule that cannot be": {revoke: func(w *graphtest.World) store.Write {
			return policyOf(w, "n/a", func(p *record.Policy) {
				p.Rules = []record.Rule{{Policy: "p", Callers: []record.Caller{{Namespace: "kept"}}},
					{Policy: "q", Callers: []record.Caller{{Namespace: "web"}}, Paths: []string{"*"}}}
			})
		}, reason: "CompileFailed", rules: 2},
		"more rules than there can be": {revoke: func(w *graphtest.World) store.Write {
			return policyOf(w, "n/a", func(p *record.Policy) {
				p.Rules = nil
				for i := range 600 {
					p.Rules = append(p.Rules, record.Rule{Policy: "p", Index: int32(i), Callers: []record.Caller{{Namespace: "kept"}}})
				}
			})
		}, reason: "CompileFailed", rules: 512},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			runs(w, "n/a", []string{"c1"}).Allowed = []string{"kept", "web"}
			z := startZone(t, w, "z", "c1")
			t.Cleanup(z.store.Close)
			if tt.fail != nil {
				if got := changes(z.write(tt.fail(w))["c1"]); len(got) > 0 {
					t.Fatalf("it cannot be compiled: c1 has changed %q, want nothing", got)
				}
			}
			if got, want := changes(z.write(tt.revoke(w))["c1"]), []string{"+NetworkPolicy n/a", "+AuthorizationPolicy n/a"}; !slices.Equal(got, want) {
				t.Errorf("callers are taken away: c1 has changed %q, want %q", got, want)
			}
			for _, id := range []object.ID{{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy", Namespace: "n", Name: "a"},
				{Group: "security.istio.io", Version: "v1", Kind: "AuthorizationPolicy", Namespace: "n", Name: "a"}} {
				content := string(z.held["c1"][id.Key()].Content)
				if names(content, "web") || !names(content, "kept") {
					t.Errorf("%s is %s, want it to let in kept and not web", id.Short(), content)
				}
				if got := strings.Count(content, `"from"`); tt.rules > 0 && id.Kind == "AuthorizationPolicy" && got != tt.rules {
					t.Errorf("%s has %d rules, want %d", id.Short(), got, tt.rules)
				}
			}
			if a := z.apps["c1"]["n/a"]; a.Current || len(a.Problems) == 0 || a.Problems[0].Reason != tt.reason {
				t.Errorf("the application is told as %+v, want the problem %s", a, tt.reason)
			}
			z.set(w)
			scratch, _ := z.scratch()
			compareHeld(t, "c1", z.held["c1"], scratch["c1"])
			if a := z.apps["c1"]["n/a"]; !a.Current {
				t.Errorf("all can be compiled, and the application is told as %+v", a)
			}
		})
	}
}

// names tells whether an object names a namespace: by itself, as a NetworkPolicy does, or by its identities.
func names(content, namespace string) bool {
	return strings.Contains(content, strconv.Quote(namespace)) || strings.Contains(content, "/ns/"+namespace+"/")
}

// checkReach tells of an AuthorizationPolicy that lets in a namespace which the policy in the store, of the environment of
// what runs, does not name.
func checkReach(z *zone) error {
	for cluster, objects := range z.held {
		for key, r := range objects {
			id, _ := object.FromKey(key)
			if id.Kind != "AuthorizationPolicy" {
				continue
			}
			e, ok := z.store.Snapshot().Get(record.PolicyKey(id.Namespace, id.Name))
			if !ok {
				continue
			}
			p, err := record.DecodePolicy(e.Record)
			if err != nil {
				return err
			}
			for _, namespace := range []string{"m", "n", "o"} {
				named := namespace == id.Namespace || slices.ContainsFunc(p.Rules, func(r record.Rule) bool {
					return slices.ContainsFunc(r.Callers, func(c record.Caller) bool { return c.Namespace == namespace })
				})
				if !named && names(string(r.Content), namespace) {
					return fmt.Errorf("cluster %s: %s lets in %s, which its policy does not name", cluster, id.Short(), namespace)
				}
			}
		}
	}
	return nil
}

package global

import (
	"slices"
	"testing"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

func TestResolve(t *testing.T) {
	of := func(namespace, application string, more record.Policy) face {
		more.Namespace, more.Application = namespace, application
		if more.Environment == "" {
			more.Environment = "prod"
		}
		return face{callable: true, policy: more}
	}
	let := []record.Rule{{Policy: "p", Callers: []record.Caller{{Namespace: "shop", Application: "web"}}}}
	faces := map[string]face{
		"shop/a": of("shop", "a", record.Policy{}), "shop/b": of("shop", "b", record.Policy{}),
		"shop/shut": of("shop", "shut", record.Policy{IsolatedBy: []string{"p", "q"}}),
		"shop/mute": {policy: record.Policy{Namespace: "shop", Application: "mute", Environment: "prod"}},
		"bank/a":    of("bank", "a", record.Policy{}), "bank/open": of("bank", "open", record.Policy{Rules: let}),
		"test/a": of("test", "a", record.Policy{Environment: "test", Rules: let}),
	}
	on := func(names ...string) []v1alpha1.Dependency {
		var out []v1alpha1.Dependency
		for _, name := range names {
			c := callerOf(name)
			out = append(out, v1alpha1.Dependency{Namespace: c.Namespace, Name: c.Application})
		}
		return out
	}
	tests := map[string]struct {
		on   []v1alpha1.Dependency
		want []string
		why  refusal
	}{
		"none":                {nil, nil, refusal{}},
		"found, sorted, once": {[]v1alpha1.Dependency{{Name: "b"}, {Name: "a"}, {Namespace: "shop", Name: "b"}}, []string{"shop/a", "shop/b"}, refusal{}},
		"itself is not there": {on("shop/web"), nil, refusal{v1alpha1.ReasonDependencyNotFound, "no accepted Application with ports: shop/web"}},
		"missing, or without ports": {on("shop/a", "shop/y", "bank/x", "shop/mute"), []string{"shop/a"},
			refusal{v1alpha1.ReasonDependencyNotFound, "no accepted Application with ports: bank/x, shop/mute, shop/y"}},
		"allowed across": {on("bank/open"), []string{"bank/open"}, refusal{}},
		"denied across": {on("bank/open", "bank/a"), []string{"bank/open"},
			refusal{v1alpha1.ReasonDependencyDenied, "no AccessPolicy in namespace bank lets shop/web call a"}},
		"isolated": {on("shop/shut"), nil, refusal{v1alpha1.ReasonDependencyDenied,
			"AccessPolicy shop/p has sameNamespace: Deny, and none in namespace shop lets shop/web call shut"}},
		"another environment, whatever its policy says": {on("test/a"), nil, refusal{v1alpha1.ReasonOtherEnvironment,
			"in environment test, and no policy allows calls from one environment to another: test/a"}},
		"all at once": {on("shop/x", "test/a", "bank/a"), nil, refusal{v1alpha1.ReasonDependencyDenied,
			"no AccessPolicy in namespace bank lets shop/web call a; in environment test, and no policy allows calls from one environment to another: test/a; " +
				"no accepted Application with ports: shop/x"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			caller := record.Caller{Namespace: "shop", Application: "web"}
			got, why := resolve(caller, declared("shop", tt.on), func(name string) verdict { return judge(caller, "prod", faces[name]) })
			if !slices.Equal(got, tt.want) {
				t.Errorf("resolved %v, want %v", got, tt.want)
			}
			if why == nil {
				why = &refusal{}
			}
			if *why != tt.why {
				t.Errorf("unresolved because %+v, want %+v", *why, tt.why)
			}
		})
	}
}

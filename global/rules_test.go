package global

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// from names callers as NAMESPACE, NAMESPACE/APPLICATION or @TENANT.
func from(callers ...string) []v1alpha1.CallerSelector {
	var out []v1alpha1.CallerSelector
	for _, c := range callers {
		if tenant, ok := strings.CutPrefix(c, "@"); ok {
			out = append(out, v1alpha1.CallerSelector{Tenant: tenant})
			continue
		}
		namespace, application, _ := strings.Cut(c, "/")
		out = append(out, v1alpha1.CallerSelector{Namespace: namespace, Application: application})
	}
	return out
}

// testPolicy is an AccessPolicy of namespace shop.
func testPolicy(name string, rules ...v1alpha1.AccessRule) *v1alpha1.AccessPolicy {
	return &v1alpha1.AccessPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Generation: 1},
		Spec: v1alpha1.AccessPolicySpec{Rules: rules}}
}

func isolating(p *v1alpha1.AccessPolicy) *v1alpha1.AccessPolicy {
	p.Spec.SameNamespace = v1alpha1.SameNamespaceDeny
	return p
}

// describe writes a policy as a rule in each line, such as "p0: a, b/x ports [80]", and what isolates.
func describe(p record.Policy) string {
	var lines []string
	for _, r := range p.Rules {
		var who []string
		for _, c := range r.Callers {
			who = append(who, strings.TrimSuffix(c.Namespace+"/"+c.Application, "/"))
		}
		line := fmt.Sprintf("%s%d: %s", r.Policy, r.Index, strings.Join(who, ", "))
		if len(r.Ports)+len(r.Methods)+len(r.Paths) > 0 {
			line += fmt.Sprint(" ", r.Ports, r.Methods, r.Paths)
		}
		lines = append(lines, line)
	}
	if len(p.IsolatedBy) > 0 {
		lines = append(lines, fmt.Sprint("isolated by ", p.IsolatedBy))
	}
	return strings.Join(lines, "\n")
}

func TestCompilePolicy(t *testing.T) {
	known := newTenancy()
	for namespace, h := range map[string]home{
		"shop": {true, "prod", "retail"}, "till": {true, "prod", "retail"}, "bank": {true, "prod", "money"},
		"shop-test": {true, "test", "retail"}, "bare": {true, "", "retail"},
	} {
		known.set(namespace, h)
	}
	tests := map[string]struct {
		policies []*v1alpha1.AccessPolicy
		want     string
	}{
		"none":                {nil, ""},
		"one that says none":  {[]*v1alpha1.AccessPolicy{testPolicy("p")}, ""},
		"callers sorted":      {[]*v1alpha1.AccessPolicy{testPolicy("p", v1alpha1.AccessRule{From: from("till/x", "bank", "till/a")})}, "p0: bank, till/a, till/x"},
		"callers once":        {[]*v1alpha1.AccessPolicy{testPolicy("p", v1alpha1.AccessRule{From: from("till/x", "till/x")})}, "p0: till/x"},
		"a whole namespace":   {[]*v1alpha1.AccessPolicy{testPolicy("p", v1alpha1.AccessRule{From: from("till/x", "till", "till/a", "bank/y")})}, "p0: bank/y, till"},
		"a tenant":            {[]*v1alpha1.AccessPolicy{testPolicy("p", v1alpha1.AccessRule{From: from("@retail")})}, "p0: shop, till"},
		"another environment": {[]*v1alpha1.AccessPolicy{testPolicy("p", v1alpha1.AccessRule{From: from("shop-test", "bank")})}, "p0: bank"},
		"nobody is left": {[]*v1alpha1.AccessPolicy{testPolicy("p", v1alpha1.AccessRule{From: from("shop-test", "bare", "nowhere", "@none")},
			v1alpha1.AccessRule{From: from("bank")})}, "p1: bank"},
		"ports of which it has one":  {[]*v1alpha1.AccessPolicy{testPolicy("p", v1alpha1.AccessRule{From: from("bank"), Ports: []int32{9090, 80, 81}})}, "p0: bank [80 9090] [] []"},
		"ports of which it has none": {[]*v1alpha1.AccessPolicy{testPolicy("p", v1alpha1.AccessRule{From: from("bank"), Ports: []int32{81}})}, ""},
		"methods and paths": {[]*v1alpha1.AccessPolicy{testPolicy("p", v1alpha1.AccessRule{From: from("bank"), Methods: []string{"POST", "GET"}, Paths: []string{"/b", "/a/*"}})},
			"p0: bank [] [GET POST] [/a/* /b]"},
		"two policies, both isolating": {[]*v1alpha1.AccessPolicy{isolating(testPolicy("p", v1alpha1.AccessRule{From: from("bank")})), isolating(testPolicy("q"))},
			"p0: bank\nisolated by [p q]"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			of := calleeOf("shop", "cart", "prod", []v1alpha1.Port{{Port: 80}, {Port: 9090}})
			of.trustDomain = "prod.example"
			got, over, shared := compilePolicy(of, tt.policies, known)
			if text := describe(got); text != tt.want || len(over)+len(shared) > 0 {
				t.Errorf("got\n%s\nand over %v, shared %v, want\n%s", text, over, shared, tt.want)
			}
			if got.Environment != "prod" || got.TrustDomain != "prod.example" || got.Namespace != "shop" || got.Application != "cart" {
				t.Errorf("it is %+v", got)
			}
			back, err := record.DecodePolicy(got.Record())
			if err != nil || back.Record().Version != got.Record().Version {
				t.Errorf("it does not come back from its record: %v", err)
			}
		})
	}
}

// TestSharedTargets has rules name some of the ports that one target port serves: none of them is opened by these.
func TestSharedTargets(t *testing.T) {
	known := newTenancy()
	known.set("bank", home{true, "prod", ""})
	of := calleeOf("shop", "cart", "prod", []v1alpha1.Port{{Port: 80, TargetPort: 8080}, {Port: 81, TargetPort: 8080, Protocol: "TCP"},
		{Port: 8080, Protocol: "UDP"}, {Port: 90}, {Port: 53, Protocol: "TCP"}, {Port: 53, Protocol: "UDP", TargetPort: 5353},
		{Port: 54, TargetPort: 53}, {Port: 55, Protocol: "UDP", TargetPort: 5353}})
	tests := map[string]struct {
		ports []int32
		want  []int32 // none: the rule is left out
		left  string
	}{
		"any":                        {nil, []int32{}, ""},
		"one of two":                 {[]int32{81}, nil, "rule 1 does not open port 81 because port 80 has the same target port 8080"},
		"both":                       {[]int32{81, 80}, []int32{80, 81}, ""},
		"one of two, and another":    {[]int32{80, 90, 7}, []int32{90}, "rule 1 does not open port 80 because port 81 has the same target port 8080"},
		"the same target by UDP":     {[]int32{8080, 90}, []int32{90, 8080}, ""},
		"one protocol is not enough": {[]int32{53, 54}, nil, "rule 1 does not open port 53 because port 55 has the same target port 5353, rule 1 does not open port 54 because port 53 has the same target port 53"},
		"all of both protocols":      {[]int32{53, 54, 55}, []int32{53, 54, 55}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := testPolicy("p", v1alpha1.AccessRule{From: from("bank"), Ports: tt.ports})
			got, _, shared := compilePolicy(of, []*v1alpha1.AccessPolicy{p}, known)
			if want := len(tt.left) > 0; (len(shared) == 1) != want || want && shared[0] != (surplus{"p", tt.left}) {
				t.Errorf("left out is %v, want %q", shared, tt.left)
			}
			switch {
			case tt.want == nil && len(got.Rules) > 0:
				t.Errorf("got %s, want no rule", describe(got))
			case tt.want != nil && (len(got.Rules) != 1 || !slices.Equal(got.Rules[0].Ports, tt.want)):
				t.Errorf("got %s, want ports %v", describe(got), tt.want)
			}
		})
	}
}

// TestSharedTargetNoted has a policy say which of its ports stay closed, until the application's ports differ.
func TestSharedTargetNoted(t *testing.T) {
	d := shopAndBar(t)
	ports := func(target int32) func(*specOf) {
		return func(s *specOf) {
			s.Ports = []v1alpha1.Port{{Name: "a", Port: 80, TargetPort: 8080}, {Name: "b", Port: 81, TargetPort: target}}
		}
	}
	d.put("db", ports(8080))
	one := testPolicy("open", v1alpha1.AccessRule{From: from("cafe"), Ports: []int32{81}})
	one.Spec.Applications = []string{"db"}
	d.policy(one)
	d.step()
	want := "Ports that share their target port with one that is not named stay closed for shop/db: in shop/db, " +
		"rule 1 does not open port 81 because port 80 has the same target port 8080"
	if got := d.board.policies["shop/open"]; got.note != want || got.refused != nil {
		t.Errorf("got %+v, want the note %q", got, want)
	}
	d.wantDependencies("cafe/bar")
	d.put("db", ports(8081))
	d.step()
	if got := d.board.policies["shop/open"]; got.note != "" || len(d.callers.shared) > 0 {
		t.Errorf("with a target of its own: %+v, %v", got, d.callers.shared)
	}
	d.wantDependencies("cafe/bar", "shop/db")
}

// TestSurplusRules has policies that together have more rules, or larger ones, than an application has room for.
func TestSurplusRules(t *testing.T) {
	known := newTenancy()
	known.set("bank", home{true, "prod", ""})
	for i := range 9000 {
		known.set(fmt.Sprintf("a-namespace-of-a-large-tenant-%04d", i), home{true, "prod", "large"})
	}
	many := func(n int) []v1alpha1.AccessRule {
		return slices.Repeat([]v1alpha1.AccessRule{{From: from("bank")}}, n)
	}
	policies := []*v1alpha1.AccessPolicy{testPolicy("a", many(500)...), isolating(testPolicy("b", many(12)...)), testPolicy("c", many(11)...),
		testPolicy("d", v1alpha1.AccessRule{From: from("bank")})}
	got, over, _ := compilePolicy(callee{"shop", "cart", "prod", "", nil}, policies, known)
	if want := []surplus{{"b", "cart would have 512 rules, at most 511"}, {"d", "cart would have 512 rules, at most 511"}}; !slices.Equal(over, want) {
		t.Errorf("over are %v, want %v", over, want)
	}
	if len(got.Rules) != 511 || !slices.Equal(got.IsolatedBy, []string{"b"}) {
		t.Errorf("got %d rules, isolated by %v; want 511, and b, which takes away all the same", len(got.Rules), got.IsolatedBy)
	}
	large := v1alpha1.AccessRule{From: from("@large")}
	got, over, _ = compilePolicy(callee{"shop", "cart", "prod", "", nil}, []*v1alpha1.AccessPolicy{testPolicy("a", large), testPolicy("b", many(1)...)}, known)
	if len(over) != 1 || !strings.Contains(over[0].why, "at most 256 KiB can travel") || describe(got) != "b0: bank" {
		t.Errorf("over are %v, and in force is %s; want a over, b in force", over, describe(got))
	}
}

func TestWidens(t *testing.T) {
	rule := func(callers ...string) record.Rule {
		r := record.Rule{Policy: "p"}
		for _, c := range callers {
			r.Callers = append(r.Callers, record.Caller{Namespace: c})
		}
		return r
	}
	policy := func(rules ...record.Rule) record.Policy { return record.Policy{Environment: "prod", Rules: rules} }
	limited := rule("a")
	limited.Ports = []int32{80}
	isolated := policy(rule("a"))
	isolated.IsolatedBy = []string{"p"}
	tests := map[string]struct {
		before, after record.Policy
		want          bool
	}{
		"a caller more":      {policy(rule("a")), policy(rule("a", "b")), true},
		"a rule more":        {policy(rule("a")), policy(rule("b"), rule("a")), true},
		"a caller less":      {policy(rule("a", "b")), policy(rule("a")), false},
		"one for another":    {policy(rule("a")), policy(rule("b")), false},
		"limits":             {policy(rule("a")), policy(limited), false},
		"isolated":           {policy(rule("a")), isolated, false},
		"isolated no more":   {isolated, policy(rule("a")), true},
		"another world":      {policy(rule("a")), record.Policy{Environment: "test", Rules: policy(rule("a")).Rules}, false},
		"a rule less, a new": {policy(rule("a"), rule("c")), policy(rule("a"), rule("b")), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := widens(tt.before, tt.after); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

// TestTenancy moves a namespace from home to home.
func TestTenancy(t *testing.T) {
	x := newTenancy()
	x.set("b", home{true, "prod", "retail"})
	x.set("a", home{true, "prod", "retail"})
	if before := x.set("a", home{true, "prod", "money"}); before != (home{true, "prod", "retail"}) {
		t.Errorf("a was at %+v", before)
	}
	if got := x.ofTenant("prod", "retail"); !slices.Equal(got, []string{"b"}) {
		t.Errorf("retail has %v, want b", got)
	}
	x.set("b", home{})
	x.set("a", home{})
	if !reflect.DeepEqual(x, newTenancy()) {
		t.Errorf("something is left: %+v", x)
	}
}

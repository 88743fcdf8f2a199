package crds_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const template = `template: {spec: {containers: [{name: main, image: "registry.example/main:1"}]}}`

// application writes one with a valid template and spec besides.
func application(name, spec string) string { return bareApplication(name, template+"\n"+spec) }

func bareApplication(name, spec string) string {
	return fmt.Sprintf("apiVersion: meridian.dev/v1alpha1\nkind: Application\nmetadata: {name: %q, namespace: test}\nspec:\n%s", name, indent(spec))
}

// cluster writes one with all that is required and spec besides.
func cluster(name, spec string) string {
	return inventory("Cluster", name, "zone: west-a\nenvironments: [prod]\nnetwork: west\n"+spec)
}

// accessPolicy writes one in namespace test.
func accessPolicy(name, spec string) string {
	return fmt.Sprintf("apiVersion: meridian.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: %q, namespace: test}\nspec:\n%s", name, indent(spec))
}

// rule writes an AccessPolicy with one rule, for callers in namespace shop.
func rule(more string) string {
	return accessPolicy("p", "rules: [{from: [{namespace: shop}]"+more+"}]")
}

func inventory(kind, name, spec string) string {
	return fmt.Sprintf("apiVersion: meridian.dev/v1alpha1\nkind: %s\nmetadata: {name: %q}\nspec:\n%s", kind, name, indent(spec))
}

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") + "\n" }

// many writes n items of a list, each made from its number.
func many(n int, item string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = strings.ReplaceAll(item, "N", fmt.Sprint(i))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func condition(kind, status, reason string) map[string]any {
	return map[string]any{
		"type": kind, "status": status, "reason": reason, "message": "",
		"lastTransitionTime": "2026-01-02T03:04:05Z",
	}
}

// applyStatus writes the status of u alone, as Global does.
func (s *server) applyStatus(ctx context.Context, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	bare := &unstructured.Unstructured{Object: map[string]any{"status": u.Object["status"]}}
	bare.SetGroupVersionKind(u.GroupVersionKind())
	bare.SetName(u.GetName())
	bare.SetNamespace(u.GetNamespace())
	return s.client(u).ApplyStatus(ctx, u.GetName(), bare, metav1.ApplyOptions{FieldManager: "meridian-global", Force: true})
}

// testValidation holds what one object can show. An empty message means that
// the object is accepted.
func testValidation(t *testing.T, s *server) {
	longest := strings.Repeat("a", 40)
	const resource = `{apiVersion: v1, kind: ConfigMap, metadata: {name: cm-N}}`
	cases := map[string]struct {
		doc  string
		want string
	}{
		"minimal":              {application("a", ""), ""},
		"name at the limit":    {application(longest, ""), ""},
		"name over the limit":  {application(longest+"a", ""), "at most 40 characters"},
		"name with a digit":    {application("1a", ""), "DNS-1035"},
		"name with a dot":      {application("a.b", ""), "DNS-1035"},
		"no template":          {bareApplication("a", "replicas: 1"), "spec.template: Required value"},
		"no containers":        {bareApplication("a", "template: {spec: {}}"), "containers: Required value"},
		"unknown field":        {application("a", "autoscaling: {}"), `unknown field "spec.autoscaling"`},
		"misspelt in template": {bareApplication("a", "template: {spec: {containers: [{name: m, imagee: x}]}}"), `unknown field "spec.template.spec.containers[0].imagee"`},
		"labels in template":   {bareApplication("a", "template: {metadata: {labels: {tier: edge}}, spec: {containers: [{name: m}]}}"), ""},

		"replicas 0":        {application("a", "replicas: 0"), ""},
		"replicas negative": {application("a", "replicas: -1"), "greater than or equal to 0"},
		"replicas too many": {application("a", "replicas: 100001"), "less than or equal to 100000"},

		"port name too long":      {application("a", "ports: [{name: abcdefghijklmnop, port: 80}]"), "Too long"},
		"port name not a label":   {application("a", "ports: [{name: a_b, port: 80}]"), "spec.ports[0].name"},
		"port 0":                  {application("a", "ports: [{name: a, port: 0}]"), "greater than or equal to 1"},
		"port too big":            {application("a", "ports: [{name: a, port: 65536}]"), "less than or equal to 65535"},
		"port named twice":        {application("a", "ports: [{name: a, port: 80}, {name: a, port: 81}]"), "Duplicate value"},
		"port number twice":       {application("a", "ports: [{name: a, port: 80}, {name: b, port: 80}]"), "same number and protocol"},
		"number over TCP and UDP": {application("a", "ports: [{name: a, port: 53}, {name: b, port: 53, protocol: UDP}]"), ""},
		"most ports":              {application("a", "ports: "+many(64, "{name: pN, port: 1N}")), ""},
		"targetPort is a name":    {application("a", "ports: [{name: a, port: 80, targetPort: http}]"), "must be of type integer"},
		"protocol SCTP":           {application("a", "ports: [{name: a, port: 80, protocol: SCTP}]"), `supported values: "TCP", "UDP"`},
		"appProtocol unknown":     {application("a", "ports: [{name: a, port: 80, appProtocol: gopher}]"), "spec.ports[0].appProtocol: Unsupported value"},
		"appProtocol with UDP":    {application("a", "ports: [{name: a, port: 80, protocol: UDP, appProtocol: http}]"), "goes with protocol TCP only"},

		"most resources":        {application("a", "resources: "+many(64, resource)), ""},
		"too many resources":    {application("a", "resources: "+many(65, resource)), "must have at most 64 items"},
		"resource, no name":     {application("a", "resources: [{apiVersion: v1, kind: ConfigMap, metadata: {}}]"), "each resource needs apiVersion, kind and metadata.name"},
		"resource, no metadata": {application("a", "resources: [{apiVersion: v1, kind: ConfigMap}]"), "each resource needs apiVersion, kind and metadata.name"},
		"resource, no kind":     {application("a", "resources: [{apiVersion: v1, metadata: {name: x}}]"), "spec.resources[0].kind: Required value"},
		"resource, no version":  {application("a", "resources: [{kind: ConfigMap, metadata: {name: x}}]"), "spec.resources[0].apiVersion: Required value"},

		"singleton":             {application("a", "placement: {mode: Singleton}"), ""},
		"singleton with spread": {application("a", "placement: {mode: Singleton, spread: {maxZones: 1}}"), "spread has no meaning with it"},
		"mode unknown":          {application("a", "placement: {mode: Random}"), "spec.placement.mode: Unsupported value"},
		"spread over no zone":   {application("a", "placement: {spread: {maxZones: 0}}"), "greater than or equal to 1"},
		"toleration, any":       {application("a", "placement: {tolerations: [{operator: Exists}]}"), ""},
		"toleration, equal":     {application("a", "placement: {tolerations: [{key: gpu, value: a, effect: NoExecute}]}"), ""},
		"toleration, no key":    {application("a", "placement: {tolerations: [{operator: Equal}]}"), "operator Equal needs a key"},
		"toleration, value":     {application("a", "placement: {tolerations: [{key: gpu, operator: Exists, value: a}]}"), "operator Exists takes no value"},
		"toleration, effect":    {application("a", "placement: {tolerations: [{key: gpu, effect: PreferNoSchedule}]}"), "Unsupported value"},

		"most dependencies":     {application("a", "dependsOn: "+many(256, "{name: dN}")), ""},
		"too many dependencies": {application("a", "dependsOn: "+many(257, "{name: dN}")), "must have at most 256 items"},
		"dependency elsewhere":  {application("a", "dependsOn: [{kind: Application, namespace: other, name: b}]"), ""},
		"dependency, kind":      {application("a", "dependsOn: [{kind: Service, name: b}]"), "spec.dependsOn[0].kind: Unsupported value"},
		"dependency, no name":   {application("a", "dependsOn: [{namespace: b}]"), "spec.dependsOn[0].name: Required value"},
		"dependency, namespace": {application("a", "dependsOn: [{namespace: B, name: b}]"), "spec.dependsOn[0].namespace"},

		"cluster":                      {cluster("c", ""), ""},
		"cluster, dotted name":         {cluster("c.d", ""), "must be a DNS label"},
		"cluster, no zone":             {inventory("Cluster", "c", "environments: [prod]\nnetwork: n"), "spec.zone: Required value"},
		"cluster, no network":          {inventory("Cluster", "c", "environments: [prod]\nzone: z"), "spec.network: Required value"},
		"cluster, no environments":     {inventory("Cluster", "c", "zone: z\nnetwork: n"), "spec.environments: Required value"},
		"cluster, empty environments":  {inventory("Cluster", "c", "zone: z\nnetwork: n\nenvironments: []"), "should have at least 1 items"},
		"cluster, environment twice":   {inventory("Cluster", "c", "zone: z\nnetwork: n\nenvironments: [a, a]"), "Duplicate value"},
		"cluster, taints":              {cluster("c", "taints: [{key: gpu, effect: NoSchedule}, {key: gpu, effect: NoExecute}]"), ""},
		"cluster, taint twice":         {cluster("c", "taints: [{key: gpu, effect: NoSchedule}, {key: gpu, value: a, effect: NoSchedule}]"), "Duplicate value"},
		"cluster, taint effect":        {cluster("c", "taints: [{key: gpu, effect: PreferNoSchedule}]"), "spec.taints[0].effect: Unsupported value"},
		"cluster, platform host":       {cluster("c", "mesh: {platformHosts: [monitoring/collector.monitoring.svc.cluster.local]}"), ""},
		"cluster, wildcard namespace":  {cluster("c", `mesh: {platformHosts: ["*/collector.monitoring.svc.cluster.local"]}`), "should match"},
		"cluster, wildcard host":       {cluster("c", `mesh: {platformHosts: ["monitoring/*"]}`), "should match"},
		"cluster, host, no namespace":  {cluster("c", `mesh: {platformHosts: [collector.monitoring]}`), "should match"},
		"cluster, no mesh":             {cluster("c", "mesh: {dataplane: None, defaultSidecar: false}"), ""},
		"cluster, dataplane unknown":   {cluster("c", "mesh: {dataplane: Magic}"), "spec.mesh.dataplane: Unsupported value"},
		"zone":                         {inventory("Zone", "z", "region: r"), ""},
		"zone, no region":              {inventory("Zone", "z", "{}"), "spec.region: Required value"},
		"zone, dotted name":            {inventory("Zone", "z.z", "region: r"), "must be a DNS label"},
		"region":                       {inventory("Region", "r", "{}"), ""},
		"region, dotted name":          {inventory("Region", "r.r", "{}"), "must be a DNS label"},
		"network":                      {inventory("Network", "n", "{}"), ""},
		"network, unknown field":       {inventory("Network", "n", "cidr: 10.0.0.0/8"), `unknown field "spec.cidr"`},
		"environment":                  {inventory("Environment", "e", "{}"), ""},
		"environment, over 63 letters": {inventory("Environment", strings.Repeat("e", 64), "{}"), "must be a DNS label"},

		"trust domain":                {inventory("Environment", "e", "trustDomain: prod.mesh.example"), ""},
		"trust domain, capitals":      {inventory("Environment", "e", "trustDomain: Prod"), "spec.trustDomain"},
		"trust domain, a path":        {inventory("Environment", "e", "trustDomain: prod/ns"), "spec.trustDomain"},
		"pod ranges":                  {inventory("Network", "n", `podRanges: [10.0.0.0/12, "fd00::/48"]`), ""},
		"pod range, an address":       {inventory("Network", "n", "podRanges: [10.0.0.1]"), "each range is a CIDR"},
		"pod range twice":             {inventory("Network", "n", "podRanges: [10.0.0.0/12, 10.0.0.0/12]"), "Duplicate value"},
		"too many pod ranges":         {inventory("Network", "n", "podRanges: "+many(65, "10.N.0.0/16")), "must have at most 64 items"},
		"primary":                     {cluster("c", "mesh: {primary: p}"), ""},
		"primary, no name":            {cluster("c", "mesh: {primary: P.q}"), "spec.mesh.primary"},
		"gateway":                     {cluster("c", `mesh: {gateway: {addresses: [192.0.2.1, "2001:db8::1"], namespace: gateways, selector: {app: gw}}}`), ""},
		"gateway, no addresses":       {cluster("c", "mesh: {gateway: {}}"), ""},
		"gateway, addresses to come":  {cluster("c", "addresses: {eastWest: {}}\nmesh: {gateway: {}}"), ""},
		"gateway, too many":           {cluster("c", "mesh: {gateway: {addresses: "+many(9, "192.0.2.N")+"}}"), "must have at most 8 items"},
		"gateway, a host name":        {cluster("c", "mesh: {gateway: {addresses: [gw.example]}}"), "each address is an IPv4 or IPv6 address"},
		"gateway, empty selector":     {cluster("c", "mesh: {gateway: {addresses: [192.0.2.1], selector: {}}}"), "should have at least 1 properties"},
		"quota":                       {inventory("TenantQuota", "q", "{tenant: retail, applications: 0, replicas: 10, consumers: 1, resourceKinds: []}"), ""},
		"quota, no kind allowed":      {inventory("TenantQuota", "q", "{tenant: retail, resourceKinds: []}"), ""},
		"quota, label's letters":      {inventory("TenantQuota", "q", "{tenant: Retail_EU.1, applications: 1}"), ""},
		"quota, no tenant":            {inventory("TenantQuota", "q", "{applications: 1}"), "spec.tenant: Required value"},
		"quota, empty tenant":         {inventory("TenantQuota", "q", "{tenant: '', applications: 1}"), "spec.tenant"},
		"quota, no label's value":     {inventory("TenantQuota", "q", "{tenant: retail/eu, applications: 1}"), "spec.tenant"},
		"quota, no limit":             {inventory("TenantQuota", "q", "{tenant: retail}"), "give at least one limit: applications, replicas, consumers, addresses or resourceKinds"},
		"quota, less than nothing":    {inventory("TenantQuota", "q", "{tenant: retail, replicas: -1}"), "spec.replicas"},
		"quota, a kind never carried": {inventory("TenantQuota", "q", "{tenant: retail, resourceKinds: [Secret]}"), "spec.resourceKinds[0]"},
		"quota, a kind twice":         {inventory("TenantQuota", "q", "{tenant: retail, resourceKinds: [Service, Service]}"), "Duplicate value"},
		"quota, name":                 {inventory("TenantQuota", "q.eu", "{tenant: retail, applications: 1}"), "must be a DNS label"},
		"policy, empty":               {accessPolicy("p", "{}"), ""},
		"policy, dotted name":         {accessPolicy("p.q", "{}"), "must be a DNS label"},
		"policy, applications":        {accessPolicy("p", "applications: [ledger, api]"), ""},
		"policy, application twice":   {accessPolicy("p", "applications: [ledger, ledger]"), "Duplicate value"},
		"policy, application's name":  {accessPolicy("p", "applications: [payments/ledger]"), "spec.applications[0]"},
		"policy, most applications":   {accessPolicy("p", "applications: "+many(256, "aN")), ""},
		"policy, too many":            {accessPolicy("p", "applications: "+many(257, "aN")), "must have at most 256 items"},
		"policy, isolates":            {accessPolicy("p", "sameNamespace: Deny"), ""},
		"policy, sameNamespace":       {accessPolicy("p", "sameNamespace: Maybe"), "spec.sameNamespace: Unsupported value"},
		"most rules":                  {accessPolicy("p", "rules: "+many(64, "{from: [{namespace: nN}]}")), ""},
		"too many rules":              {accessPolicy("p", "rules: "+many(65, "{from: [{namespace: nN}]}")), "must have at most 64 items"},
		"rule without callers":        {accessPolicy("p", "rules: [{ports: [80]}]"), "spec.rules[0].from: Required value"},
		"rule, empty callers":         {accessPolicy("p", "rules: [{from: []}]"), "should have at least 1 items"},
		"rule, too many callers":      {accessPolicy("p", "rules: [{from: "+many(65, "{namespace: nN}")+"}]"), "must have at most 64 items"},
		"caller, application":         {accessPolicy("p", "rules: [{from: [{namespace: shop, application: cart}]}]"), ""},
		"caller, tenant":              {accessPolicy("p", "rules: [{from: [{tenant: retail}]}]"), ""},
		"caller, nobody":              {accessPolicy("p", "rules: [{from: [{}]}]"), "either a namespace"},
		"caller, both":                {accessPolicy("p", "rules: [{from: [{namespace: shop, tenant: retail}]}]"), "either a namespace"},
		"caller, no namespace":        {accessPolicy("p", "rules: [{from: [{application: cart, tenant: retail}]}]"), "an application goes with its namespace"},
		"caller, wildcard":            {accessPolicy("p", `rules: [{from: [{namespace: "*"}]}]`), "spec.rules[0].from[0].namespace"},
		"caller, empty namespace":     {accessPolicy("p", `rules: [{from: [{namespace: ""}]}]`), "spec.rules[0].from[0].namespace"},
		"rule, ports":                 {rule(", ports: [80, 65535]"), ""},
		"rule, port 0":                {rule(", ports: [0]"), "greater than or equal to 1"},
		"rule, port twice":            {rule(", ports: [80, 80]"), "Duplicate value"},
		"rule, methods":               {rule(", methods: [GET, POST]"), ""},
		"rule, method in small":       {rule(", methods: [get]"), "spec.rules[0].methods[0]"},
		"rule, any method":            {rule(`, methods: ["*"]`), "spec.rules[0].methods[0]"},
		"rule, paths":                 {rule(`, paths: [/, /v1/pay, "/v1/*", "*/health", "/*"]`), ""},
		"rule, star alone":            {rule(`, paths: ["*"]`), "spec.rules[0].paths[0]"},
		"rule, star inside":           {rule(`, paths: ["/v1/*/pay"]`), "spec.rules[0].paths[0]"},
		"rule, two stars":             {rule(`, paths: ["*/v1/*"]`), "spec.rules[0].paths[0]"},
		"rule, path with a query":     {rule(`, paths: ["/v1?x=1"]`), "spec.rules[0].paths[0]"},
		"rule, braces":                {rule(`, paths: ["/v1/{*}"]`), "spec.rules[0].paths[0]"},
		"rule, relative path":         {rule(`, paths: [v1]`), "spec.rules[0].paths[0]"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := s.create(t.Context(), object(t, tc.doc), true)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("got %v, want it accepted", err)
			case tc.want != "" && err == nil:
				t.Errorf("it was accepted, want an error with %q", tc.want)
			case tc.want != "" && !strings.Contains(err.Error(), tc.want):
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func testImmutable(t *testing.T, s *server) {
	for name, tc := range map[string]struct {
		doc   string
		field string
		want  string
	}{
		"zone of a cluster": {cluster("immutable", ""), "zone", "cannot move to another zone"},
		"region of a zone":  {inventory("Zone", "immutable", "region: west"), "region", "cannot move to another region"},
		"tenant of a quota": {inventory("TenantQuota", "immutable", "{tenant: retail, applications: 1}"), "tenant", "cannot be changed"},
		"family of a pool":  {pool(ten, ""), "family", "spec.family"},
		"network of a pool": {pool(ten, ""), "network", "spec.network cannot be changed"},
		"purpose of a pool": {pool(ten, ""), "purpose", "spec.purpose"},
		"pool of a claim":   {ipClaim("{pool: p}"), "pool", "spec cannot be changed"},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := s.create(t.Context(), object(t, tc.doc), false)
			if err != nil {
				t.Fatal(err)
			}
			made.SetLabels(map[string]string{"tier": "edge"})
			if made, err = s.client(made).Update(t.Context(), made, metav1.UpdateOptions{}); err != nil {
				t.Fatalf("changing labels: %v", err)
			}
			if err := unstructured.SetNestedField(made.Object, "elsewhere", "spec", tc.field); err != nil {
				t.Fatal(err)
			}
			_, err = s.client(made).Update(t.Context(), made, metav1.UpdateOptions{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
			if err := s.client(made).Delete(t.Context(), made.GetName(), metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func testStatus(t *testing.T, s *server) {
	u := object(t, application("status", ""))
	u.Object["status"] = map[string]any{"revision": "mine"}
	made, err := s.create(t.Context(), u, false)
	if err != nil {
		t.Fatal(err)
	}
	if status, ok := made.Object["status"]; ok {
		t.Errorf("a creator wrote the status %v", status)
	}
	for name, tc := range map[string]struct {
		status map[string]any
		want   string
	}{
		"zones and problems": {map[string]any{"zones": list(512, "name"), "problems": list(8, "message")}, ""},
		"too many zones":     {map[string]any{"zones": list(513, "name")}, "must have at most 512 items"},
		"too many problems":  {map[string]any{"problems": list(9, "message")}, "must have at most 8 items"},
		"message too long":   {map[string]any{"message": strings.Repeat("a", 1025)}, "may not be more than 1024"},
	} {
		t.Run(name, func(t *testing.T) {
			made.Object["status"] = tc.status
			got, err := s.applyStatus(t.Context(), made)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
			if err == nil && got.GetGeneration() != made.GetGeneration() {
				t.Errorf("a status changed the generation from %d to %d", made.GetGeneration(), got.GetGeneration())
			}
		})
	}
	if err := s.client(made).Delete(t.Context(), made.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// list has n items, each with its number in that field.
func list(n int, field string) []any {
	items := make([]any, n)
	for i := range items {
		items[i] = map[string]any{field: fmt.Sprintf("n%d", i)}
	}
	return items
}

package crds_test

import (
	"fmt"
	"strings"
	"testing"
)

// external writes an ExternalService with one host and spec besides; without a word of ports in that, with one of TLS.
func external(spec string) string {
	if !strings.Contains(spec, "ports:") {
		spec = "ports: [{name: tls, port: 443, appProtocol: tls}]\n" + spec
	}
	if !strings.Contains(spec, "hosts:") {
		spec = "hosts: [db.example.com]\n" + spec
	}
	return fmt.Sprintf("apiVersion: meridian.dev/v1alpha1\nkind: ExternalService\nmetadata: {name: db, namespace: test}\nspec:\n%s", indent(spec))
}

// testExternal holds what one ExternalService shows to be wrong.
func testExternal(t *testing.T, s *server) {
	const mysql, tls = "ports: [{name: mysql, port: 3306, appProtocol: mysql}]\n", "ports: [{name: plain, port: 80, targetPort: 443, appProtocol: http}]\n"
	for name, tc := range map[string]struct{ doc, want string }{
		"minimal":                      {external(""), ""},
		"name":                         {strings.Replace(external(""), "name: db,", "name: db.external,", 1), "must be a DNS-1035 label"},
		"name over the limit":          {strings.Replace(external(""), "name: db,", "name: "+strings.Repeat("a", 41)+",", 1), "at most 40 characters"},
		"no hosts":                     {external("hosts: []"), "spec.hosts in body should have at least 1 items"},
		"most hosts":                   {external("hosts: " + many(16, "hN.example.com")), ""},
		"too many hosts":               {external("hosts: " + many(17, "hN.example.com")), "must have at most 16 items"},
		"an address as host":           {external(`hosts: ["192.0.2.1"]`), "addresses go to spec.endpoints"},
		"a wildcard":                   {external(`hosts: ["*.example.com"]`), "spec.hosts[0]"},
		"a host of a cluster":          {external("hosts: [web.shop.svc.cluster.local]"), "spec.hosts are outside the mesh"},
		"a host of a Service":          {external("hosts: [web.shop.svc]"), "spec.hosts are outside the mesh"},
		"a host of a set of clusters":  {external("hosts: [web.shop.svc.clusterset.local]"), "spec.hosts are outside the mesh"},
		"a host in .local":             {external("hosts: [db.office.local]"), ""},
		"a host that ends in a number": {external("hosts: [db.10]"), "the last label of spec.hosts is not a number"},
		"a host of numbers":            {external("hosts: [1.2.3]"), "the last label of spec.hosts is not a number"},
		"a host with numbers":          {external("hosts: [10.20.example.com]"), ""},
		"a host of one label":          {external("hosts: [db]"), "spec.hosts[0]"},
		"no ports":                     {external("ports: []"), "spec.ports in body should have at least 1 items"},
		"a port twice":                 {external("ports: [{name: a, port: 80}, {name: b, port: 80}]"), "two ports have the same number"},
		"a port's name twice":          {external("ports: [{name: a, port: 80}, {name: a, port: 81}]"), "Duplicate value"},
		"port 0":                       {external("ports: [{name: a, port: 0}]"), "spec.ports[0].port"},
		"an unknown protocol":          {external("ports: [{name: a, port: 80, appProtocol: udp}]"), "Unsupported value"},
		"hosts, of one opaque port":    {external("hosts: [a.example.com, b.example.com]\n" + mysql), "with several spec.hosts each port needs an appProtocol"},
		"hosts, of a port that is tcp": {external("hosts: [a.example.com, b.example.com]\nports: [{name: a, port: 80}]"), "with several spec.hosts each port needs an appProtocol"},
		"TLS beside opaque":            {external("ports: [{name: a, port: 443, appProtocol: https}, {name: b, port: 80, appProtocol: mysql}]"), "use two ExternalServices with hosts of their own"},
		"TLS beside tcp by default":    {external("ports: [{name: a, port: 443, appProtocol: tls}, {name: b, port: 80}]"), "use two ExternalServices with hosts of their own"},
		"HTTP beside opaque":           {external("ports: [{name: a, port: 80, appProtocol: http}, {name: b, port: 81}]"), ""},
		"TLS beside HTTP":              {external("ports: [{name: a, port: 80, appProtocol: http}, {name: b, port: 443, appProtocol: tls}]"), ""},
		"one host, opaque":             {external(mysql), ""},
		"endpoints":                    {external(`endpoints: [{address: 192.0.2.1, region: west, zone: west-a}, {address: "2001:db8::1"}]`), ""},
		"a name as endpoint":           {external("endpoints: [{address: db.example.com}]"), "DNS names go to spec.hosts"},
		"an endpoint twice":            {external("endpoints: [{address: 192.0.2.1}, {address: 192.0.2.1}]"), "Duplicate value"},
		"too many endpoints":           {external("endpoints: " + many(65, "{address: 192.0.2.N}")), "must have at most 64 items"},
		"tls":                          {external(tls + "tls: {sni: db, subjectAltNames: [db.example.com]}"), ""},
		"tls on TLS":                   {external("tls: {}"), "every port is TLS of the callers' own already"},
		"mutual tls":                   {external(tls + "tls: {mode: Mutual, credentialName: cert}"), ""},
		"mutual tls with nothing":      {external(tls + "tls: {mode: Mutual}"), "needs tls.credentialName"},
		"address":                      {external(mysql + "address: {pool: services}"), ""},
		"address, IPv6":                {external(mysql + "address: {family: IPv6}"), ""},
		"address, family of a pool":    {external(mysql + "address: {pool: services, family: IPv6}"), "a pool has its own"},
		"consumers":                    {external("consumers: [{namespace: shop, application: web}, {tenant: retail}]"), ""},
		"consumers of nothing":         {external("consumers: [{}]"), "spec.consumers[0]"},
		"too many consumers":           {external("consumers: " + many(65, "{tenant: tN}")), "must have at most 64 items"},
		"an application's dependency":  {application("a", "dependsOn: [{kind: ExternalService, name: db}]"), ""},
		"of an unknown kind":           {application("a", "dependsOn: [{kind: Database, name: db}]"), "Unsupported value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.create(t.Context(), object(t, tc.doc), true)
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
}

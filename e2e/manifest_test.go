package e2e

import (
	"fmt"
	"strings"
)

// beatNamespace holds the application of federation.beat. Its writes are not counted.
const beatNamespace = "beat"

func namespaceManifest(name string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n  labels: {meridian.dev/environment: prod}\n", name)
}

// beatManifest is an application in every cluster that carries a number.
func beatManifest(n int) string {
	app := appSpec{namespace: beatNamespace, name: "beat", mode: "Duplicated", replicas: 1,
		extra: fmt.Sprintf("resources:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: beat}\n  data: {count: %q}\n", fmt.Sprint(n))}
	return namespaceManifest(beatNamespace) + "---\n" + app.manifest()
}

// appSpec is what tests vary in an application.
type appSpec struct {
	namespace, name string
	image           string   // default: "example.com/app:1"
	replicas        int      // default 1
	mode            string   // default Divided
	clusters        string   // label selector's expression over clusters; default: all
	dependsOn       []string // "name", or a flow mapping
	extra           string   // further fields of the spec, YAML at column 0
	pod             string   // further fields of the container, YAML at column 0
}

// only selects clusters by name.
func only(names ...string) string {
	return fmt.Sprintf("{matchExpressions: [{key: meridian.dev/name, operator: In, values: [%s]}]}", strings.Join(names, ", "))
}

func (a appSpec) manifest() string {
	if a.image == "" {
		a.image = "example.com/app:1"
	}
	if a.mode == "" {
		a.mode = "Divided"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: meridian.dev/v1alpha1\nkind: Application\nmetadata: {name: %s, namespace: %s}\nspec:\n", a.name, a.namespace)
	fmt.Fprintf(&b, "  replicas: %d\n  ports: [{name: http, port: 8080, appProtocol: http}]\n", max(a.replicas, 1))
	fmt.Fprintf(&b, "  placement:\n    mode: %s\n", a.mode)
	if a.clusters != "" {
		fmt.Fprintf(&b, "    clusters: %s\n", a.clusters)
	}
	if len(a.dependsOn) > 0 {
		b.WriteString("  dependsOn:\n")
	}
	for _, d := range a.dependsOn {
		if !strings.HasPrefix(d, "{") {
			d = "{name: " + d + "}"
		}
		fmt.Fprintf(&b, "  - %s\n", d)
	}
	b.WriteString(indent(a.extra, 2))
	fmt.Fprintf(&b, "  template:\n    spec:\n      containers:\n      - name: app\n        image: %s\n", a.image)
	b.WriteString(indent(a.pod, 8))
	return b.String()
}

func indent(text string, by int) string {
	if text == "" {
		return ""
	}
	pad := strings.Repeat(" ", by)
	return pad + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+pad) + "\n"
}

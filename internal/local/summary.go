package local

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/meridian-federation/meridian/internal/config"
)

// summary says what runs where, and what to try.
func summary(out io.Writer, l layout, t Topology, o Options) {
	rel := func(path string) string {
		wd, err := os.Getwd()
		if err != nil {
			return path
		}
		if r, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(r, "..") {
			return r
		}
		return path
	}
	kubeconfig := rel(l.kubeconfig(hubName))
	fmt.Fprintf(out, "\nMeridian runs, all of it on this machine:\n\n")
	fmt.Fprintf(out, "  global          %-16s resources at https://127.0.0.1:%d\n", config.Loopback(t.Global.Listen), t.Hub)
	for _, r := range t.Regions {
		fmt.Fprintf(out, "    %-13s %s\n", r.Name, config.Loopback(r.Ports.Listen))
		for _, z := range r.Zones {
			var replicas, proxies []string
			for _, replica := range z.Replicas {
				replicas = append(replicas, config.Loopback(replica.Listen))
				proxies = append(proxies, config.Loopback(replica.Authorization))
			}
			fmt.Fprintf(out, "      %-11s %s, external authorization at %s\n", z.Name, strings.Join(replicas, ", "), strings.Join(proxies, ", "))
			for _, c := range z.Clusters {
				fmt.Fprintf(out, "        %-9s https://127.0.0.1:%d, %d nodes, kubeconfig %s\n", c.Name, c.API, o.Nodes, rel(l.kubeconfig(c.Name)))
			}
		}
	}
	meridian := rel(l.program("meridian"))
	lines := []string{
		"export KUBECONFIG=" + kubeconfig,
		meridian + " get applications -A",
		meridian + " status",
	}
	if !o.NoSamples {
		cluster := t.clusters()[0].Name
		lines = append(lines,
			meridian+" status shop/checkout",
			meridian+" trace shop/checkout",
			fmt.Sprintf("kubectl --kubeconfig %s get deployments,services,sidecars -A -l meridian.dev/managed-by=meridian", rel(l.kubeconfig(cluster))),
			"kubectl -n bookinfo patch application reviews --type merge -p '{\"spec\":{\"replicas\":9}}'")
	}
	fmt.Fprintf(out, "\nTry:\n\n  %s\n\nLogs are in %s; `make down` stops everything.\n", strings.Join(lines, "\n  "), rel(l.logs()))
}

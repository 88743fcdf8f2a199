package meridian_test

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/meridian-federation/meridian/"

// bans are imports that must not come about, however indirectly, each with its reason. Names end in /... for all below.
var bans = []struct{ from, to, reason string }{
	{"cluster-agent", "go.etcd.io/etcd/...", "the agent must stay small beside 100,000 pods; it keeps nothing but its Lease"},
	{"cluster-agent", "github.com/hashicorp/memberlist", "the agent dials one zone and knows no members"},
	{"cluster-agent", module + "internal/store", "the agent keeps no records"},
	{"cluster-agent", module + "internal/mesh", "what a cluster needs is compiled in the zone"},
	{"global", module + "region", "a tier dials another, it does not import it"},
	{"global", module + "az/...", "a tier dials another, it does not import it"},
	{"global", module + "cluster-agent", "a tier dials another, it does not import it"},
	{"region", module + "global", "a tier dials another, it does not import it"},
	{"region", module + "az/...", "a tier dials another, it does not import it"},
	{"region", module + "cluster-agent", "a tier dials another, it does not import it"},
	{"region", module + "internal/mesh", "a region relays records and compiles nothing"},
	{"region", "k8s.io/client-go/...", "a region talks to no API server"},
	{"az", module + "global", "a tier dials another, it does not import it"},
	{"az", module + "region", "a tier dials another, it does not import it"},
	{"az", module + "cluster-agent", "a tier dials another, it does not import it"},
	{"az", "k8s.io/client-go/...", "a zone reaches clusters through their agents alone"},
	{"internal/feed", module + "internal/store", "the protocol is pure and serves the agent too"},
	{"internal/feed", "google.golang.org/grpc/...", "the protocol is pure; feedgrpc is its transport"},
	{"internal/mesh", "k8s.io/client-go/...", "compilation talks to no server"},
	{"internal/policy", module + "internal/store", "a call is decided by a policy alone, at a proxy's request as in the planner"},
	{"internal/policy", "google.golang.org/grpc/...", "a call is decided by a policy alone, whoever asks"},
	{"internal/scope", "google.golang.org/grpc/...", "scope is computed, whatever carries it"},
	{"internal/shard", "github.com/hashicorp/memberlist", "dealing is a pure function; who the members are is for its caller"},
	{"internal/shard", module + "internal/...", "dealing is a pure function and knows nothing of ours"},
	{"internal/shard/gossip", module + "internal/...", "gossip supplies members and carries nothing of ours"},
	{"global", "github.com/hashicorp/memberlist", "only a zone has replicas that gossip"},
	{"region", "github.com/hashicorp/memberlist", "only a zone has replicas that gossip"},
	{"cluster-agent", module + "internal/enrol", "Global alone decides who may enrol"},
	{"region", module + "internal/enrol", "Global alone decides who may enrol"},
	{"az", module + "internal/enrol", "Global alone decides who may enrol"},
	{"internal/identity", module + "internal/store", "a certificate proves a place with no records; whoever has records says what is lowest"},
	{"internal/question", module + "internal/identity", "identities are of places, which are question's"},
	{"internal/store", "go.etcd.io/etcd/...", "the contract knows no backend"},
	{"api/v1alpha1", module + "internal/...", "the resources are public and import nothing of ours"},
}

// TestImports holds the direction of imports: cmd, tiers, internal, api.
func TestImports(t *testing.T) {
	packages := list(t)
	for _, ban := range bans {
		p, ok := packages[module+ban.from]
		if !ok {
			t.Errorf("the ban on %s importing %s: there is no such package", ban.from, ban.to)
			continue
		}
		for _, dep := range p.Deps {
			if matches(dep, ban.to) {
				t.Errorf("%s imports %s: %s", ban.from, dep, ban.reason)
			}
		}
	}
	for name, p := range packages {
		if !strings.HasPrefix(name, module+"internal/") && !strings.HasPrefix(name, module+"api/") {
			continue
		}
		for _, tier := range []string{"global", "region", "az/...", "cluster-agent"} {
			if slices.ContainsFunc(p.Deps, func(dep string) bool { return matches(dep, module+tier) }) {
				t.Errorf("%s imports the tier %s: internal packages know no tier", name, tier)
			}
		}
	}
}

func matches(dep, pattern string) bool {
	if root, below := strings.CutSuffix(pattern, "/..."); below {
		return dep == root || strings.HasPrefix(dep, root+"/")
	}
	return dep == pattern
}

// listed is what `go list` says of a package.
type listed struct {
	ImportPath, Dir string
	Deps            []string
	GoFiles         []string
}

func list(t *testing.T) map[string]listed {
	t.Helper()
	output, err := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Dir,Deps,GoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	out := map[string]listed{}
	for d := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("reading go list: %v", err)
		}
		out[p.ImportPath] = p
	}
}

// TestPackageDocs asks every package for a doc comment that says more than its name.
func TestPackageDocs(t *testing.T) {
	for name, p := range list(t) {
		if len(p.GoFiles) == 0 || strings.HasSuffix(p.Dir, "pb") {
			continue
		}
		longest := ""
		for _, file := range p.GoFiles {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if text := parsed.Doc.Text(); len(text) > len(longest) {
				longest = text
			}
		}
		if len(longest) < 40 {
			t.Errorf("package %s has the doc comment %q; say what it is and who may import it", name, longest)
		}
	}
}

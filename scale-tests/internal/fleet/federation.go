package fleet

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/local"
	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/process"
	"github.com/meridian-federation/meridian/internal/question"
)

// Names of the processes of a federation, beside its members' MEMBER-1 and so on and their agents' AGENT-1 and so on.
const (
	Hub    = "hub"
	Global = "global"
	Region = "region"
	Zone   = "zone"
	Member = "member"
	Agent  = "agent"
)

// Names in the inventory of a federation.
const (
	Environment = "prod"
	regionName  = "west"
	zoneName    = "west-a"
)

// identityLife is longer than any run: nobody renews.
const identityLife = 24 * time.Hour

// readyWithin bounds the start of one tier.
const readyWithin = time.Minute

// Federation is one hub, Global, one region, one zone, and clusters with their agents.
type Federation struct {
	Hub     *localkube.Cluster
	Members []*localkube.Cluster
	// identities issues the certificates of all.
	identities *identitytest.Root
	// Admin are the addresses of health, metrics and profiles, by process.
	Admin map[string]string
}

// Federation starts one with n clusters, whose agents write with so many workers each, and gives it its inventory.
func (f *Fleet) Federation(ctx context.Context, n, workers int) (*Federation, error) {
	fed := &Federation{Admin: map[string]string{}}
	identities, err := identitytest.New(identitytest.Options{Lives: identity.Lives{CA: identityLife, Leaf: identityLife}})
	if err != nil {
		return nil, err
	}
	fed.identities = identities
	g, kctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		fed.Hub, err = f.Hub(kctx)
		return err
	})
	g.Go(func() (err error) {
		fed.Members, err = f.Members(kctx, Member, n)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	global, err := f.tier(ctx, fed, Global, question.Path{}, "--id", Global, "--kubeconfig", fed.Hub.Kubeconfig())
	if err != nil {
		return nil, err
	}
	region, err := f.tier(ctx, fed, Region, question.Path{Region: regionName}, "--id", Region, "--region", regionName, "--global", global)
	if err != nil {
		return nil, err
	}
	zone, err := f.tier(ctx, fed, Zone, question.Path{Region: regionName, Zone: zoneName}, "--id", Zone, "--region", regionName, "--zone", zoneName, "--parent", region)
	if err != nil {
		return nil, err
	}
	if err := local.Apply(ctx, fed.Hub.RESTConfig(), inventory(fed.Members)); err != nil {
		return nil, fmt.Errorf("applying the inventory: %w", err)
	}
	for i, member := range fed.Members {
		if err := f.agent(ctx, fed, fmt.Sprintf("%s-%d", Agent, i+1), member, zone, workers); err != nil {
			return nil, err
		}
	}
	return fed, nil
}

// tier starts a process that keeps records and listens, and returns its address.
func (f *Fleet) tier(ctx context.Context, fed *Federation, name string, path question.Path, args ...string) (string, error) {
	port, err := process.FreePort()
	if err != nil {
		return "", err
	}
	listen := config.Loopback(port)
	return listen, f.start(ctx, fed, name, path, append(args, "--listen", listen, "--etcd-data-dir", f.data(name)))
}

func (f *Fleet) agent(ctx context.Context, fed *Federation, name string, member *localkube.Cluster, zone string, workers int) error {
	kubeconfig := filepath.Join(f.data(name), "kubeconfig.yaml")
	if err := member.WriteKubeconfig(localkube.AgentUser, kubeconfig); err != nil {
		return err
	}
	path := question.Path{Region: regionName, Zone: zoneName, Cluster: member.Name()}
	return f.start(ctx, fed, name, path, []string{"--id", name, "--region", regionName, "--zone", zoneName, "--cluster", member.Name(),
		"--zone-addresses", zone, "--kubeconfig", kubeconfig, "--workers", strconv.Itoa(workers)})
}

// start starts a process of Meridian's and waits until it is ready. NAME or NAME-1 runs the program meridian-NAME.
func (f *Fleet) start(ctx context.Context, fed *Federation, name string, path question.Path, args []string) error {
	dir := filepath.Join(f.data(name), "identity")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	id, err := fed.identities.Files(dir, path)
	if err != nil {
		return err
	}
	args = append(args, "--identity-dir", filepath.Join(dir, "own"), "--identity-source", id.Source, "--identity-trust-domain", id.TrustDomain,
		"--identity-cert-file", id.CertFile, "--identity-key-file", id.KeyFile, "--identity-bundle-file", id.BundleFile)
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	admin := config.Loopback(port)
	kind, _, _ := strings.Cut(name, "-")
	p, err := f.Start(process.Spec{Name: name, Path: filepath.Join(f.bin(), "meridian-"+kind),
		Args: append(args, "--admin-address", admin), Log: filepath.Join(f.logs(), name+".log")})
	if err != nil {
		return err
	}
	fed.Admin[name] = admin
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	return p.AwaitReady(ctx, local.Ready(http.DefaultClient, "http://"+admin+"/readyz"))
}

// inventory describes the clusters to the hub.
func inventory(members []*localkube.Cluster) []byte {
	var b strings.Builder
	object := func(kind, name, spec string) {
		fmt.Fprintf(&b, "apiVersion: meridian.dev/v1alpha1\nkind: %s\nmetadata:\n  name: %s\nspec: {%s}\n---\n", kind, name, spec)
	}
	object("Environment", Environment, "")
	object("Network", regionName, "")
	object("Region", regionName, "")
	object("Zone", zoneName, "region: "+regionName)
	for _, member := range members {
		object("Cluster", member.Name(), fmt.Sprintf("zone: %s, environments: [%s], network: %s", zoneName, Environment, regionName))
	}
	return []byte(b.String())
}

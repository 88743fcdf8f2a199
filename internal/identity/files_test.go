package identity_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"

	"crypto/x509"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

func wantSays(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want it to say %q", err, part)
		}
	}
}

// running opens an identity and keeps it until the test ends.
func running(t *testing.T, path question.Path, settings config.Identity) *identity.Identity {
	t.Helper()
	id, err := identity.Open(t.Context(), identity.Config{Identity: settings, Path: path, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := id.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return id
}

func TestFiles(t *testing.T) {
	root, dir := identitytest.Must(identitytest.Options{}), t.TempDir()
	settings, err := root.Files(dir, zonePath)
	if err != nil {
		t.Fatal(err)
	}
	id := running(t, zonePath, settings)
	if id.Authority != nil {
		t.Error("a process whose certificates come from outside issues some")
	}
	first := id.Source.Status()
	// A certificate whose key has not followed yet.
	key, err := os.ReadFile(settings.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := root.Files(dir, zonePath); err != nil {
		t.Fatal(err)
	}
	await(t, "another certificate is taken over", func() bool { return id.Source.Status().Serial != first.Serial })
	second := id.Source.Status()
	if err := os.WriteFile(settings.KeyFile, key, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := shake(t, identity.ServerTLS(source(t, root, regionPath), nil, nil), identity.ClientTLS(id.Source, regionPath, nil)); got.server != nil || got.client != nil {
		t.Errorf("while the files do not go together: server %v, client %v", got.server, got.client)
	}
	if _, err := root.Files(dir, zonePath); err != nil {
		t.Fatal(err)
	}
	await(t, "the next is taken over", func() bool { return id.Source.Status().Serial != second.Serial })
}

func TestFilesRefused(t *testing.T) {
	root := identitytest.Must(identitytest.Options{})
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, cfg *config.Identity)
		path  question.Path
		want  string
	}{
		{"of another place", func(*testing.T, *config.Identity) {}, regionPath, "the certificate is for region/west/zone/west-a, and this is region/west"},
		{"no bundle", func(_ *testing.T, cfg *config.Identity) { cfg.BundleFile += ".missing" }, zonePath, "reading the roots"},
		{"no key", func(t *testing.T, cfg *config.Identity) { write(t, cfg.KeyFile, "") }, zonePath, "and its key"},
		{"another trust domain", func(_ *testing.T, cfg *config.Identity) { cfg.TrustDomain = "staging" }, zonePath, "no X.509 bundle"},
		{"no trust domain", func(_ *testing.T, cfg *config.Identity) { cfg.TrustDomain = "a b" }, zonePath, "identity.trustDomain"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := root.Files(t.TempDir(), zonePath)
			if err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, &cfg)
			_, err = identity.Open(t.Context(), identity.Config{Identity: cfg, Path: tt.path, Log: slog.New(slog.DiscardHandler)})
			wantSays(t, err, tt.want)
		})
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// agentAPI is a Workload API, as SPIRE's agent serves it.
type agentAPI struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	root *identitytest.Root
	next chan struct{} // another certificate is handed out for each
}

func (a *agentAPI) FetchX509SVID(_ *workload.X509SVIDRequest, stream workload.SpiffeWorkloadAPI_FetchX509SVIDServer) error {
	for {
		var svids []*workload.X509SVID
		for _, path := range []question.Path{clusterPath, {Region: "west", Zone: "west-a", Cluster: "two"}} {
			s, err := a.root.Source(path)
			if err != nil {
				return err
			}
			svid, err := s.GetX509SVID()
			if err != nil {
				return err
			}
			chain, key, err := svid.MarshalRaw()
			if err != nil {
				return err
			}
			svids = append([]*workload.X509SVID{{SpiffeId: svid.ID.String(), X509Svid: chain, X509SvidKey: key, Bundle: joined(a.root.Roots())}}, svids...)
		}
		if err := stream.Send(&workload.X509SVIDResponse{Svids: svids}); err != nil {
			return err
		}
		select {
		case <-a.next:
		case <-stream.Context().Done():
			return nil
		}
	}
}

func joined(certs []*x509.Certificate) (out []byte) {
	for _, c := range certs {
		out = append(out, c.Raw...)
	}
	return out
}

func TestWorkloadAPI(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	api := &agentAPI{root: identitytest.Must(identitytest.Options{}), next: make(chan struct{})}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, api)
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); wg.Wait() })
	settings := config.Identity{Source: config.IdentityWorkloadAPI, WorkloadAPIAddress: "unix://" + socket}
	settings.Default()
	id := running(t, clusterPath, settings)
	first := id.Source.Status()
	api.next <- struct{}{}
	await(t, "another certificate is taken over", func() bool { return id.Source.Status().Serial != first.Serial })
	if got := shake(t, identity.ServerTLS(source(t, api.root, zonePath), nil, nil), identity.ClientTLS(id.Source, zonePath, nil)); got.peer.Path != clusterPath {
		t.Errorf("got %+v, want the peer %s", got, clusterPath)
	}
	_, err = identity.Open(t.Context(), identity.Config{Identity: settings, Path: zonePath, Log: slog.New(slog.DiscardHandler)})
	wantSays(t, err, "the certificate is for region/west/zone/west-a/cluster", "and this is region/west/zone/west-a")
}

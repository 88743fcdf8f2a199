package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitypb"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

// joined is one more process of Global, which has its certificates from the first.
func (tr *tree) joined(mode string) *process {
	tr.t.Helper()
	cfg := tr.config(globalPath, tr.token(globalPath, mode))
	cfg.Dir, cfg.Join = tr.t.TempDir(), []string{tr.procs[globalPath].address}
	p, err := tr.open(cfg)
	if err != nil {
		tr.t.Fatal(err)
	}
	return p
}

// TestReplacedGlobal: when a process of Global is replaced, its certificates no longer serve a region, nor join, and the tree
// goes on with those of the process that has the root.
func TestReplacedGlobal(t *testing.T) {
	tr := newTree(t, long)
	tr.grow()
	first, taken := tr.procs[globalPath], tr.joined(question.TokenReplica)
	region := tr.procs[regionPath].Source
	conn, err := grpc.NewClient(taken.address, grpc.WithTransportCredentials(identity.ClientCredentials(region, globalPath, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	standing, err := identitypb.NewAuthorityClient(conn).Trust(t.Context(), &identitypb.TrustRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := standing.Recv(); err != nil {
		t.Fatalf("before the replacement, from the process that is to be replaced: %v", err)
	}
	joining := tr.callerWith(identity.ClientCredentials(taken.Source, globalPath, nil), globalPath)
	if _, err := joining.Renew(t.Context(), &identitypb.RenewRequest{Csr: newCSR(t)}); err != nil {
		t.Fatalf("before the replacement, renewing: %v", err)
	}

	next := tr.joined(question.TokenReplace)
	if got := next.Source.Status().Generation; got != 1 {
		t.Fatalf("the replacement is of generation %d, want 1", got)
	}
	_, err = joining.Renew(t.Context(), &identitypb.RenewRequest{Csr: newCSR(t)})
	wantRefused(t, "renewing on a connection that stands", err, "global is revoked: its generation is 0")
	refused := shake(t, identity.ServerTLS(first.Source, tr.lowest, nil), identity.ClientTLS(taken.Source, globalPath, nil))
	wantSays(t, refused.server, "global is revoked")
	if err := taken.Authority.Granted(1); !errors.Is(err, identity.ErrReplaced) {
		t.Errorf("the process that was replaced: got %v, want ErrReplaced", err)
	}
	if err := next.Authority.Granted(1); err != nil {
		t.Errorf("the replacement: %v", err)
	}
	if err := first.Authority.Granted(1); err != nil {
		t.Fatalf("the process that has the root: %v", err)
	}

	if ended, err := region.Outdated(globalPath, 1, false); err != nil || ended < 1 {
		t.Errorf("the region hears of it: got %d connections ended, %v; want the one that stands", ended, err)
	}
	if _, err := standing.Recv(); err == nil {
		t.Error("what stood to the process that was replaced still stands")
	}
	for name, tt := range map[string]struct {
		server *identity.Source
		want   string
	}{
		"the process that was replaced": {taken.Source, "global is revoked: its generation is 0, and 1 is the lowest"},
		"its replacement":               {next.Source, ""},
		"the process that has the root": {first.Source, ""},
		"that process, started again":   {tr.again(globalPath).Source, ""},
	} {
		got := shake(t, identity.ServerTLS(tt.server, nil, nil), identity.ClientTLS(region, globalPath, nil)).client
		if tt.want == "" && got != nil {
			t.Errorf("the region dials %s: got %v", name, got)
		} else if tt.want != "" {
			wantSays(t, got, tt.want)
		}
	}
	tr.wantMet() // what was signed for those below by an authority of generation 0
	if _, err := tr.caller(regionPath, globalPath).Renew(t.Context(), &identitypb.RenewRequest{Csr: newCSR(t)}); err != nil {
		t.Errorf("the region renews: %v", err)
	}
}

// dialled is what a client has against a server.
func (tr *tree) dialled(client, server question.Path) error {
	tr.t.Helper()
	return shake(tr.t, identity.ServerTLS(tr.procs[server].Source, tr.lowest, nil), identity.ClientTLS(tr.procs[client].Source, server, nil)).client
}

// again starts the process of a place once more, in its folder and at its address.
func (tr *tree) again(path question.Path) *process {
	tr.t.Helper()
	tr.procs[path].stop()
	return tr.start(path)
}

// TestOldNewsAfterEnrolment: what was kept of parents' generations since before a process enrolled does not count, since
// those may have told it who were replaced for it.
func TestOldNewsAfterEnrolment(t *testing.T) {
	tr := newTree(t, long)
	tr.grow()
	zone := tr.procs[zonePath].Source
	if _, err := zone.Outdated(regionPath, 1<<40, true); err != nil {
		t.Fatal(err)
	}
	if err := tr.met(zonePath, regionPath); err != nil {
		t.Errorf("kept from before the enrolment: got %v, want the region believed", err)
	}
	zone = tr.again(zonePath).Source
	if _, err := zone.Outdated(regionPath, 3, true); err != nil {
		t.Fatal(err)
	}
	wantSays(t, tr.dialled(zonePath, regionPath), "region/west is revoked: its generation is 0, and 3 is the lowest")
	tr.again(zonePath)
	wantSays(t, tr.dialled(zonePath, regionPath), "region/west is revoked")
	tr.procs[zonePath].stop()
	tr.start(zonePath, tr.token(zonePath, question.TokenReplica))
	if err := tr.met(zonePath, regionPath); err != nil {
		t.Errorf("enrolled anew: got %v, want the region believed", err)
	}
}

// TestOneStreamForEachCertificate: a stream that begins anew ends the one before it, and leaves others' alone.
func TestOneStreamForEachCertificate(t *testing.T) {
	root := identitytest.Must(identitytest.Options{})
	authority, err := root.Authority(regionPath)
	if err != nil {
		t.Fatal(err)
	}
	replica, err := root.Replica(zonePath)
	if err != nil {
		t.Fatal(err)
	}
	clients, _ := serveAll(t, identity.ServiceConfig{Authority: authority}, source(t, root, zonePath), replica.Source())
	follow := func(client identitypb.AuthorityClient) identitypb.Authority_TrustClient {
		stream, err := client.Trust(t.Context(), &identitypb.TrustRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		return stream
	}
	first, other := follow(clients[0]), follow(clients[1])
	second := follow(clients[0])
	_, err = first.Recv()
	wantSays(t, err, "another stream was begun by the same certificate")
	next, err := identity.NewRoot(authority.Source().TrustDomain(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	top, err := root.Authority(globalPath)
	if err != nil {
		t.Fatal(err)
	}
	ca, roots := credentialOf(t, top, regionPath), append(root.Roots(), next.Cert)
	if err := authority.Install(ca, roots); err != nil {
		t.Fatal(err)
	}
	for name, stream := range map[string]identitypb.Authority_TrustClient{"the second": second, "another process's": other} {
		if told, err := stream.Recv(); err != nil || len(told.GetRoots()) != 2 {
			t.Errorf("%s stream: got %d roots, %v; want the change, 2", name, len(told.GetRoots()), err)
		}
	}
}

// TestManyStreams: one place cannot have streams without bound.
func TestManyStreams(t *testing.T) {
	root := identitytest.Must(identitytest.Options{})
	authority, err := root.Authority(regionPath)
	if err != nil {
		t.Fatal(err)
	}
	sources := make([]*identity.Source, 65)
	for i := range sources {
		replica, err := root.Replica(zonePath)
		if err != nil {
			t.Fatal(err)
		}
		sources[i] = replica.Source()
	}
	clients, _ := serveAll(t, identity.ServiceConfig{Authority: authority}, sources...)
	for i, client := range clients {
		stream, err := client.Trust(t.Context(), &identitypb.TrustRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if i < 64 && err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
		if i == 64 && status.Code(err) != codes.ResourceExhausted {
			t.Errorf("one more than the bound: got %v, want it refused", err)
		}
	}
}

// credentialOf has an authority issue a certificate for a new key.
func credentialOf(t *testing.T, by *identity.Authority, path question.Path) identity.Credential {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := by.Issue(csrOf(t, key), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := identity.Credential{Key: key}
	for _, der := range raw {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		c.Chain = append(c.Chain, cert)
	}
	return c
}

package identity_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitypb"
	"github.com/meridian-federation/meridian/internal/question"
)

// long is a life that no test waits for.
var long = identity.Lives{CA: 24 * time.Hour, Leaf: time.Hour}

func TestEnrolment(t *testing.T) {
	tr := newTree(t, long)
	tr.grow()
	tr.wantMet()
	tr.private()
	if got := tr.trail.String(); strings.Count(got, `"result":"done"`) != 3 {
		t.Errorf("the audit log has not the three enrolments:\n%s", got)
	}
	// All start again, from the top, with what is in their folders; their tokens are spent, and their files are gone.
	for _, path := range []question.Path{globalPath, regionPath, zonePath, clusterPath} {
		before := tr.procs[path].Source.Status()
		tr.procs[path].stop()
		after := tr.start(path).Source.Status()
		if after.Root != before.Root || after.Generation != before.Generation {
			t.Errorf("%s after its restart: got %+v, want the root and generation of %+v", path, after, before)
		}
	}
	tr.wantMet()
}

func TestEnrolmentIsRefused(t *testing.T) {
	tr := newTree(t, long)
	tr.start(regionPath, tr.token(regionPath, question.TokenNew))
	spent := tr.token(zonePath, question.TokenNew)
	tr.start(zonePath, spent)
	mistyped := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(mistyped, []byte("secret-of-something-else"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		path    question.Path
		token   string
		want    string
		audited bool
	}{
		{"a spent token, another key", zonePath, spent, "the token is spent", true},
		{"a token of another place", clusterPath, spent, "the token is for region/west/zone/west-a, and not for", true},
		{"a token nobody made", clusterPath, writeToken(t, identity.NewToken()), "the token is not known", true},
		{"no token", clusterPath, "", "meridian token create --region west --zone west-a --cluster one --replace", false},
		{"no token at a tier", zonePath, "", "meridian token create --region west --zone west-a --replica", false},
		{"something else", clusterPath, mistyped, "a token is ID.SECRET", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := strings.Count(tr.trail.String(), `"result":"refused"`)
			cfg := tr.config(tt.path, tt.token)
			cfg.Dir = t.TempDir()
			_, err := tr.open(cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret-of") {
				t.Errorf("the error tells the secret: %v", err)
			}
			if _, err := os.Stat(filepath.Join(cfg.Dir, "identity.pem")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("after a refusal there is an identity: %v", err)
			}
			if audited := strings.Count(tr.trail.String(), `"result":"refused"`) > before; audited != tt.audited {
				t.Errorf("audited: got %t, want %t:\n%s", audited, tt.audited, tr.trail)
			}
		})
	}
}

func writeToken(t *testing.T, token identity.Token) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestWrongPin: a newcomer that was told another root gives its token to nobody.
func TestWrongPin(t *testing.T) {
	tr, other := newTree(t, long), newTree(t, long)
	cfg := tr.config(regionPath, tr.token(regionPath, question.TokenNew))
	cfg.Pin = []string{other.pin}
	ctx, cancel := context.WithCancel(t.Context())
	warned := &trail{}
	cfg.Log = slog.New(slog.NewTextHandler(onWrite{warned, cancel}, nil))
	if _, err := identity.Open(ctx, cfg); err == nil || !strings.Contains(err.Error(), "is not the one that is pinned") {
		t.Errorf("got %v, want it to say that the root is another", err)
	}
	cfg.Pin = []string{other.pin, tr.pin}
	if _, err := tr.open(cfg); err != nil {
		t.Errorf("with the right pin among others the token is no good any more: %v", err)
	}
}

// onWrite ends a context with the first line.
type onWrite struct {
	to  *trail
	end context.CancelFunc
}

func (w onWrite) Write(p []byte) (int, error) {
	defer w.end()
	return w.to.Write(p)
}

// TestLostReply: a newcomer that died before it had its certificate asks again with the same key, and spends nothing more.
func TestLostReply(t *testing.T) {
	tr := newTree(t, long)
	cfg := tr.config(regionPath, tr.token(regionPath, question.TokenNew))
	p, err := tr.open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.stop()
	// What was written last is not there, and something is half-written.
	own := filepath.Join(cfg.Dir, "identity.pem")
	content, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	key, _, _ := strings.Cut(string(content), "-----BEGIN CERTIFICATE")
	for name, text := range map[string]string{"pending.pem": key, "identity.pem.new-17": string(content[:99])} {
		if err := os.WriteFile(filepath.Join(cfg.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(own); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.open(cfg); err != nil {
		t.Fatalf("with the same key: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(cfg.Dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("the folder holds %v, want identity.pem and roots.pem alone", left)
	}
}

func TestDamagedIdentity(t *testing.T) {
	tr := newTree(t, long)
	cfg := tr.config(regionPath, tr.token(regionPath, question.TokenNew))
	p, err := tr.open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.stop()
	own := filepath.Join(cfg.Dir, "identity.pem")
	if err := os.WriteFile(own, []byte("zeros"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.open(cfg); err == nil || !strings.Contains(err.Error(), own) || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("got %v, want it to name the file and what to do", err)
	}
}

// TestReplaced: once a place is enrolled anew, nothing that was issued for it before counts, nor what it signed.
func TestReplaced(t *testing.T) {
	tr := newTree(t, long)
	tr.grow()
	before := tr.procs[zonePath]
	cfg := tr.config(zonePath, tr.token(zonePath, question.TokenReplace))
	cfg.Dir = t.TempDir()
	after, err := tr.open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := after.Source.Status().Generation; got != 1 {
		t.Errorf("the new one's generation: got %d, want 1", got)
	}
	region := tr.procs[regionPath].Source
	for name, source := range map[string]*identity.Source{"the zone as it was": before.Source, "an agent of it": tr.procs[clusterPath].Source} {
		if got := shake(t, identity.ServerTLS(region, tr.lowest, nil), identity.ClientTLS(source, regionPath, nil)); got.server == nil ||
			!strings.Contains(got.server.Error(), "is revoked") {
			t.Errorf("%s: got %v, want it refused as revoked", name, got.server)
		}
	}
	if got := shake(t, identity.ServerTLS(region, tr.lowest, nil), identity.ClientTLS(after.Source, regionPath, nil)); got.server != nil {
		t.Errorf("the zone anew: got %v, want it believed", got.server)
	}
}

// TestNewTokenEnrolsAnew: a process whose folder holds a certificate enrols by a token that it has not had yet.
func TestNewTokenEnrolsAnew(t *testing.T) {
	tr := newTree(t, long)
	tr.grow()
	tr.procs[zonePath].stop()
	p := tr.start(zonePath, tr.token(zonePath, question.TokenReplace))
	if got := p.Source.Status().Generation; got != 1 {
		t.Errorf("generation: got %d, want 1", got)
	}
}

// TestLostFolderOfATier: a zone that lost its folder comes back as one more process of its place, and its agents go on.
func TestLostFolderOfATier(t *testing.T) {
	tr := newTree(t, long)
	tr.grow()
	tr.procs[zonePath].stop()
	if err := os.RemoveAll(tr.config(zonePath, "").Dir); err != nil {
		t.Fatal(err)
	}
	_, err := tr.open(tr.config(zonePath, ""))
	wantSays(t, err, "--zone west-a --replica")
	tr.start(zonePath, tr.token(zonePath, question.TokenReplica))
	tr.wantMet()
	if _, err := tr.caller(clusterPath, zonePath).Renew(t.Context(), &identitypb.RenewRequest{Csr: newCSR(t)}); err != nil {
		t.Errorf("an agent that the zone enrolled before renews: %v", err)
	}
}

// TestBadTokenBesideAnIdentity: what has a valid identity goes on with it, whatever became of its token's file.
func TestBadTokenBesideAnIdentity(t *testing.T) {
	tr := newTree(t, long)
	tr.start(regionPath, tr.token(regionPath, question.TokenNew))
	mistyped := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(mistyped, []byte("secret-of-something-else"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, token, want string
	}{
		{"something else", mistyped, "a token is ID.SECRET"},
		{"a token nobody made", writeToken(t, identity.NewToken()), "the token is not known"},
		{"a folder", t.TempDir(), "reading identity.tokenFile"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := tr.procs[regionPath]
			before.stop()
			cfg, said := tr.config(regionPath, tt.token), &trail{}
			cfg.Log = slog.New(slog.NewTextHandler(said, nil))
			p, err := tr.open(cfg)
			if err != nil {
				t.Fatalf("got %v, want it to go on with the certificate that it has", err)
			}
			tr.procs[regionPath] = p
			if got := p.Source.Status().AuthorityNotAfter; !got.Equal(before.Source.Status().AuthorityNotAfter) {
				t.Errorf("its authority ends at %s, want it to be the one from before", got)
			}
			if got := said.String(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, tt.want) || strings.Contains(got, "secret-of") {
				t.Errorf("the log says\n%s\nwant an error with %q, and no secret", got, tt.want)
			}
			if err := tr.met(regionPath, globalPath); err != nil {
				t.Errorf("it dials Global: %v", err)
			}
		})
	}
}

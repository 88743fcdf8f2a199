package identity_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

// dials is what comes of a client's dialling a zone.
func dials(t *testing.T, client, zone *identity.Source, lowest identity.Lowest) error {
	t.Helper()
	got := shake(t, identity.ServerTLS(zone, nil, nil), identity.ClientTLS(client, zonePath, lowest))
	return got.client
}

// TestRevokedServerIsRefused: a child refuses a parent whose place, or one above, was replaced.
func TestRevokedServerIsRefused(t *testing.T) {
	root := identitytest.Must(identitytest.Options{Generation: func(p question.Path) uint64 { return uint64(len(p.Region)) }})
	zone := source(t, root, zonePath)
	for _, tt := range []struct {
		name   string
		raised question.Path
		want   string
	}{
		{"nobody", clusterPath, ""},
		{"the parent", zonePath, "west-a is revoked: its generation is 4"},
		{"the one above", regionPath, "region/west is revoked: its generation is 4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := dials(t, source(t, root, clusterPath), zone, func(p question.Path) uint64 {
				if p == tt.raised {
					return 5
				}
				return 0
			})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestParentOfAnEarlierGeneration: an agent that has met its zone's replacement does not go back to the zone that was
// replaced, not after a restart either, until it enrols anew.
func TestParentOfAnEarlierGeneration(t *testing.T) {
	tr := newTree(t, long)
	tr.grow()
	old := tr.procs[zonePath]
	if err := dials(t, tr.procs[clusterPath].Source, old.Source, nil); err != nil {
		t.Fatalf("before the replacement: %v", err)
	}
	cfg := tr.config(zonePath, tr.token(zonePath, question.TokenReplace))
	cfg.Dir = t.TempDir()
	replacement, err := tr.open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	tr.procs[clusterPath].stop()
	tr.procs[zonePath] = replacement
	agent := tr.start(clusterPath, tr.token(clusterPath, question.TokenReplace))
	if err := dials(t, agent.Source, replacement.Source, nil); err != nil {
		t.Fatalf("the replacement: %v", err)
	}
	wantSays(t, dials(t, agent.Source, old.Source, nil), "region/west/zone/west-a is revoked: its generation is 0, and 1 is the lowest")
	agent.stop()
	agent = tr.start(clusterPath)
	wantSays(t, dials(t, agent.Source, old.Source, nil), "region/west/zone/west-a is revoked")

	agent.stop()
	kept := filepath.Join(tr.config(clusterPath, "").Dir, "generations.pem")
	if err := os.WriteFile(kept, []byte("gone"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = tr.open(tr.config(clusterPath, ""))
	wantSays(t, err, "generations.pem", "it was damaged", "enrol anew")
}

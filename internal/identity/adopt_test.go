package identity_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

// TestAdoptPin: a child takes over a root that its parent shows only if it was given its pin, once.
func TestAdoptPin(t *testing.T) {
	tr := newTree(t, long)
	tr.grow()
	other := identitytest.Must(identitytest.Options{})
	server, err := other.Source(globalPath)
	if err != nil {
		t.Fatal(err)
	}
	old := tr.procs[globalPath].Source
	tr.procs[globalPath].stop() // so that it tells nobody whom to believe
	dials := func(at *identity.Source) error {
		return shake(t, identity.ServerTLS(at, nil, nil), identity.ClientTLS(tr.procs[regionPath].Source, globalPath, nil)).client
	}
	with := func(pin string) {
		tr.procs[regionPath].stop()
		cfg := tr.config(regionPath, "")
		cfg.AdoptPin = pin
		p, err := tr.open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		tr.procs[regionPath] = p
	}
	const unknown = "certificate signed by unknown authority"
	wantSays(t, dials(server), unknown)
	with(identity.Pin(old.Roots()[0]))
	wantSays(t, dials(server), unknown)

	pin := identity.Pin(other.Roots()[0])
	with(pin)
	zone, err := other.Source(zonePath)
	if err != nil {
		t.Fatal(err)
	}
	wantSays(t, dials(zone), "the server is region/west/zone/west-a, not global")
	for name, at := range map[string]*identity.Source{"the new root": server, "the old root": old} {
		if err := dials(at); err != nil {
			t.Errorf("with the pin, under %s: got %v", name, err)
		}
	}
	tr.again(regionPath)
	if err := dials(server); err != nil {
		t.Errorf("started again: got %v", err)
	}
	if got := len(tr.procs[regionPath].Source.Roots()); got != 2 {
		t.Errorf("believes %d roots, want both", got)
	}

	// The root is dropped, and the pin still stands in the configuration.
	tr.forgetRoot(regionPath, pin)
	with(pin)
	wantSays(t, dials(server), unknown)

	cfg := tr.config(regionPath, "")
	cfg.AdoptPin = "sha256:1"
	tr.procs[regionPath].stop()
	if _, err := tr.open(cfg); err == nil || !strings.Contains(err.Error(), "identity.adoptPin") {
		t.Errorf("a pin that is none: got %v, want it refused by its name", err)
	}
}

// TestAdoptingAtTheWrongPlace is refused, by the name of what would be right.
func TestAdoptingAtTheWrongPlace(t *testing.T) {
	tr := newTree(t, long)
	region, global := tr.config(regionPath, ""), tr.config(globalPath, "")
	region.AdoptRoot, global.AdoptPin = true, tr.pin
	_, err := tr.open(region)
	wantSays(t, err, "identity.adoptRoot: is for Global alone", "identity.adoptPin")
	_, err = tr.open(global)
	wantSays(t, err, "identity.adoptPin: is for what is below Global", "identity.adoptRoot")
}

// forgetRoot has a process that is not running believe all but one root, as a rotation does.
func (tr *tree) forgetRoot(path question.Path, pin string) {
	tr.t.Helper()
	tr.procs[path].stop()
	name := filepath.Join(tr.config(path, "").Dir, "roots.pem")
	var left []byte
	for _, root := range tr.procs[path].Source.Roots() {
		if identity.Pin(root) != pin {
			left = append(left, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})...)
		}
	}
	if err := os.WriteFile(name, left, 0o600); err != nil {
		tr.t.Fatal(err)
	}
}

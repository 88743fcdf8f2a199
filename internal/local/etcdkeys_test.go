package local

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/certfile"
)

func TestEtcdKeys(t *testing.T) {
	l := layout{dir: t.TempDir()}
	if err := l.make(); err != nil {
		t.Fatal(err)
	}
	shared := Zone{Name: "west-a", Replicas: make([]Replica, 2)}
	alone := Zone{Name: "west-b", Replicas: make([]Replica, 1)}
	topology := Topology{Regions: []Region{{Zones: []Zone{shared, alone}}}}
	if err := l.makeEtcdKeys(topology); err != nil {
		t.Fatal(err)
	}
	files := l.etcdKeys(shared)
	if _, err := certfile.Open(files, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("keys of a zone of several replicas: %v", err)
	}
	if _, err := os.Stat(l.etcdKeys(alone).CA); !os.IsNotExist(err) {
		t.Errorf("keys of a zone of one replica: got %v, want none", err)
	}
	info, err := os.Stat(filepath.Dir(files.Key))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder of the keys: got %v %v, want 700", info.Mode(), err)
	}
	before, err := os.ReadFile(files.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.makeEtcdKeys(topology); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(files.Key); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key when it is made again: got another or %v, want the one before", err)
	}
}

// No process of a local Meridian is told of an etcd in plain text, or runs one that asks for no certificate.
func TestEtcdIsNeverInPlainText(t *testing.T) {
	l := layout{dir: "/x"}
	z := Zone{Name: "west-a", Etcd: 2379, Replicas: make([]Replica, 2)}
	for _, tier := range l.zone(Region{Name: "west"}, z) {
		args := tier.spec.Args
		if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "http://") }) {
			t.Errorf("%s has plain text among %q", tier.name, args)
		}
		if !slices.Contains(args, "--etcd-cert-file") {
			t.Errorf("%s has no certificate among %q", tier.name, args)
		}
	}
}

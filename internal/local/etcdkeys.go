package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/meridian-federation/meridian/internal/certfile"
)

// keysValidity is longer than a local Meridian lives.
const keysValidity = 10 * 365 * 24 * time.Hour

// etcdKeys are the files with which a zone's etcd and the zone's replicas know each other.
func (l layout) etcdKeys(z Zone) certfile.Files {
	dir := filepath.Join(l.data(""), etcdName(z.Name)+"-keys")
	return certfile.Files{Cert: filepath.Join(dir, "etcd.crt"), Key: filepath.Join(dir, "etcd.key"), CA: filepath.Join(dir, "ca.crt")}
}

// makeEtcdKeys makes them once for each zone whose replicas share an etcd. The authority's key is thrown away.
func (l layout) makeEtcdKeys(t Topology) error {
	for _, r := range t.Regions {
		for _, z := range r.Zones {
			if len(z.Replicas) < 2 {
				continue
			}
			if err := issueEtcdKeys(etcdName(z.Name), l.etcdKeys(z)); err != nil {
				return fmt.Errorf("making the keys of %s: %w", etcdName(z.Name), err)
			}
		}
	}
	return nil
}

func issueEtcdKeys(name string, files certfile.Files) error {
	// The file written last tells that all are there.
	if _, err := os.Stat(files.CA); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(files.CA), 0o700); err != nil {
		return err
	}
	authority, err := certfile.NewAuthority(name, keysValidity)
	if err != nil {
		return err
	}
	if err := authority.Issue(name, files.Cert, files.Key, "127.0.0.1"); err != nil {
		return err
	}
	return authority.Write(files.CA)
}

// Package local runs a whole Meridian on this machine: the hub's API server, Global, regions, zones, agents and real
// clusters with simulated nodes, as detached processes under one folder. It is what `meridian up` and `meridian down` do.
//
// Everything lives in the folder Options.Dir: kubeconfigs/, logs/, data/, pids/. Up on a folder that has data brings the
// same hub back. internal/cli and the end-to-end tests import it; no tier does.
package local

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Options say what to run.
type Options struct {
	// Root is the checkout that programs are built from.
	Root string
	// Dir holds all that the run makes.
	Dir string
	// Regions is the number of regions.
	Regions int
	// ZonesPerRegion is the number of zones of the first region, the second and so on; the last number stands for all
	// further ones. ClustersPerZone and ReplicasPerZone likewise, over the zones in their order.
	ZonesPerRegion, ClustersPerZone, ReplicasPerZone []int
	// Nodes is the number of simulated nodes in each cluster.
	Nodes int
	// PortBase is the first of the ports used; how many depends on the topology.
	PortBase int
	// NoSamples leaves the sample applications out.
	NoSamples bool
	// AuditLog has every API server record the writes it gets; for tests.
	AuditLog bool
}

// maxReplicas bounds the replicas of a zone.
const maxReplicas = 5

// Defaults are two regions, three zones, the first of two replicas, and four clusters.
func Defaults() Options {
	return Options{Dir: ".meridian", Regions: 2, ZonesPerRegion: []int{2, 1}, ClustersPerZone: []int{2, 1, 1},
		ReplicasPerZone: []int{2, 1}, Nodes: 3, PortBase: 17400}
}

// Validate joins all errors, each naming the flag.
func (o Options) Validate() error {
	var errs []error
	check := func(flag string, ok bool, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("--%s: want %s", flag, want))
		}
	}
	check("data-dir", o.Dir != "", "a folder")
	check("regions", o.Regions >= 1 && o.Regions <= len(regionNames), fmt.Sprintf("1 to %d", len(regionNames)))
	check("zones-per-region", positive(o.ZonesPerRegion, len(zoneLetters)), fmt.Sprintf("numbers from 1 to %d", len(zoneLetters)))
	check("clusters-per-zone", positive(o.ClustersPerZone, 16), "numbers from 1 to 16")
	check("replicas-per-zone", positive(o.ReplicasPerZone, maxReplicas), fmt.Sprintf("numbers from 1 to %d", maxReplicas))
	check("nodes-per-cluster", o.Nodes >= 1 && o.Nodes <= 5000, "1 to 5000")
	check("port-base", o.PortBase >= 1024 && o.PortBase <= 65000, "1024 to 65000")
	return errors.Join(errs...)
}

func positive(numbers []int, most int) bool {
	for _, n := range numbers {
		if n < 1 || n > most {
			return false
		}
	}
	return len(numbers) > 0
}

// layout is where things are.
type layout struct{ root, dir string }

func (o Options) layout() (layout, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return layout{}, fmt.Errorf("--data-dir: %w", err)
	}
	return layout{root: o.Root, dir: dir}, nil
}

func (l layout) bin() string                { return filepath.Join(l.root, "bin") }
func (l layout) program(name string) string { return filepath.Join(l.bin(), name) }
func (l layout) data(name string) string    { return filepath.Join(l.dir, "data", name) }
func (l layout) logs() string               { return filepath.Join(l.dir, "logs") }
func (l layout) pids() string               { return filepath.Join(l.dir, "pids") }
func (l layout) log(name string) string     { return filepath.Join(l.logs(), name+".log") }
func (l layout) pid(name string) string     { return filepath.Join(l.pids(), name+".pid") }
func (l layout) kubeconfig(name string) string {
	return filepath.Join(l.dir, "kubeconfigs", name+".yaml")
}

// gossipKey is the key with which the replicas of this folder's zones talk to each other.
func (l layout) gossipKey() string { return filepath.Join(l.dir, "data", "gossip.key") }
func (l layout) topology() string  { return filepath.Join(l.dir, "data", "topology.json") }

// make creates the folders. Credentials lie in them.
func (l layout) make() error {
	for _, dir := range []string{l.data(""), l.logs(), l.pids(), filepath.Join(l.dir, "kubeconfigs"), filepath.Join(l.dir, "identities")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making the data folder: %w", err)
		}
	}
	return nil
}

// makeGossipKey draws the key of the replicas' gossip once.
func (l layout) makeGossipKey() error {
	f, err := os.OpenFile(l.gossipKey(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("making the key of the gossip: %w", err)
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails
	_, err = fmt.Fprintln(f, base64.StdEncoding.EncodeToString(key))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("making the key of the gossip: %w", err)
	}
	return nil
}

package localkube

import (
	"context"
	"path/filepath"
	"strings"
)

// TB is what ForTest uses of a testing.TB, which cannot be named here without
// linking the testing package into programs.
type TB interface {
	Helper()
	Cleanup(func())
	TempDir() string
	Name() string
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// ForTest starts a cluster that ends with the test, and with the test's process
// however that ends. Programs are built as needed; Dir, BinDir and Name have
// defaults.
func ForTest(t TB, cfg Config) *Cluster {
	t.Helper()
	root, err := FindRoot("")
	if err != nil {
		t.Fatalf("%v", err)
	}
	if cfg.BinDir == "" {
		cfg.BinDir = filepath.Join(root, "bin")
		targets := []target{controlPlane(), istio()}
		if !cfg.APIOnly {
			targets = append(targets, simulator())
		}
		if err := build(t.Context(), root, cfg.BinDir, func(s string) { t.Logf("%s", s) }, targets...); err != nil {
			t.Fatalf("%v", err)
		}
	}
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	if cfg.Name == "" {
		cfg.Name = testName(t.Name())
	}
	c, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		// Nobody will look at the data again, so there is nothing to end in order.
		if err := c.stop(0); err != nil {
			t.Fatalf("%v", err)
		}
	})
	return c
}

// testName makes a DNS label of a test's name.
func testName(name string) string {
	label := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, strings.ToLower(name))
	return strings.Trim(label[:min(len(label), 40)], "-")
}

package localkube

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// kubernetesVersion is told to clients; deploy/localkube/go.mod requires it.
const kubernetesVersion = "v1.36.3"

// istioCRDs is the file in the folder of programs.
const istioCRDs = "istio-crds.yaml"

// lockEvery is the pause between two tries for the lock of another build.
const lockEvery = 100 * time.Millisecond

// target is one file that Build makes.
type target struct {
	file  string
	about string // for progress
	// sources are folders and files under root whose content decides whether the
	// file is up to date.
	sources []string
	make    func(ctx context.Context, root, out string) error
}

func controlPlane() target {
	version := "k8s.io/component-base/version."
	return target{
		file:    "localkube",
		about:   "building Kubernetes " + kubernetesVersion + " (some minutes the first time)",
		sources: []string{"deploy/localkube"},
		make: goBuild("deploy/localkube", "-s -w -X "+version+"gitVersion="+kubernetesVersion+
			" -X "+version+"gitMajor=1 -X "+version+"gitMinor=36"),
	}
}

func simulator() target {
	return target{
		file:    "kwok",
		about:   "building kwok",
		sources: []string{"deploy/localkube/kwok"},
		make:    goBuild("deploy/localkube/kwok", "-s -w"),
	}
}

func istio() target {
	return target{file: istioCRDs, about: "copying Istio's CRDs", sources: []string{"go.mod"}, make: copyIstioCRDs}
}

// Build makes the programs of local clusters, and what they install, in binDir
// from the sources under root. It does nothing, in milliseconds, when they are up
// to date; builds at the same time, also of other processes, wait for each
// other. progress, which may be nil, is told what takes time.
func Build(ctx context.Context, root, binDir string, progress func(string)) error {
	return build(ctx, root, binDir, progress, controlPlane(), simulator(), istio())
}

func build(ctx context.Context, root, binDir string, progress func(string), targets ...target) error {
	if progress == nil {
		progress = func(string) {}
	}
	for _, t := range targets {
		if err := t.ensure(ctx, root, binDir, progress); err != nil {
			return fmt.Errorf("building %s: %w", t.file, err)
		}
	}
	return nil
}

func (t target) ensure(ctx context.Context, root, binDir string, progress func(string)) error {
	want, err := t.stamp(root)
	if err != nil {
		return err
	}
	out := filepath.Join(binDir, t.file)
	if isMade(out, want) {
		return nil
	}
	if err := os.MkdirAll(binDir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, stampFile(out)+".lock", progress)
	if err != nil {
		return err
	}
	defer unlock()
	if isMade(out, want) {
		return nil
	}
	progress(t.about)
	// Renamed into place, since the old file may be running.
	next := out + ".new"
	if err := t.make(ctx, root, next); err != nil {
		return err
	}
	if err := os.Rename(next, out); err != nil {
		return err
	}
	return os.WriteFile(stampFile(out), []byte(want), 0o644)
}

func stampFile(out string) string {
	return filepath.Join(filepath.Dir(out), "."+filepath.Base(out)+".stamp")
}

func isMade(out, want string) bool {
	if _, err := os.Stat(out); err != nil {
		return false
	}
	got, err := os.ReadFile(stampFile(out))
	return err == nil && string(got) == want
}

// stamp is a hash of the target's sources. The repository's own go.mod counts
// with its line on istio.io/api alone, being under constant change.
func (t target) stamp(root string) (string, error) {
	h := sha256.New()
	io.WriteString(h, t.about)
	for _, source := range t.sources {
		if source == "go.mod" {
			version, err := requiredIstio(root)
			if err != nil {
				return "", err
			}
			io.WriteString(h, version)
			continue
		}
		for _, pattern := range []string{"*.go", "go.mod", "go.sum"} {
			files, err := filepath.Glob(filepath.Join(root, source, pattern))
			if err != nil {
				return "", err
			}
			for _, file := range files {
				b, err := os.ReadFile(file)
				if err != nil {
					return "", err
				}
				fmt.Fprintf(h, "%s %d\n", filepath.Base(file), len(b))
				h.Write(b)
			}
		}
	}
	return fmt.Sprintf("%x\n", h.Sum(nil)), nil
}

func requiredIstio(root string) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "istio.io/api" {
			return f[1], nil
		}
	}
	return "", errors.New("go.mod does not require istio.io/api")
}

// goBuild compiles the program in dir, a module of its own.
func goBuild(dir, ldflags string) func(context.Context, string, string) error {
	return func(ctx context.Context, root, out string) error {
		_, err := goCommand(ctx, filepath.Join(root, dir), "build", "-buildvcs=false", "-ldflags", ldflags, "-o", out, ".")
		return err
	}
}

func copyIstioCRDs(ctx context.Context, root, out string) error {
	b, err := goCommand(ctx, root, "mod", "download", "-json", "istio.io/api")
	if err != nil {
		return err
	}
	var mod struct{ Dir string }
	if err := json.Unmarshal(b, &mod); err != nil {
		return err
	}
	crds, err := os.ReadFile(filepath.Join(mod.Dir, "kubernetes", "customresourcedefinitions.gen.yaml"))
	if err != nil {
		return err
	}
	return os.WriteFile(out, crds, 0o644)
}

func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s in %s: %w\n%s", args[0], dir, err, stderr.String())
	}
	return out, nil
}

// lock holds file against other processes and other callers in this one.
func lock(ctx context.Context, file string, progress func(string)) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(lockEvery)
	defer tick.Stop()
	for told := false; ; told = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", file, err)
		}
		if !told {
			progress("waiting for another build")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
}

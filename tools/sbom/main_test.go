package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
)

// The list of this very command, written twice.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "sbom")
	if out, err := exec.Command("go", "build", "-trimpath", "-buildvcs=true", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	var lists [2][]byte
	for i := range lists {
		if err := run([]string{dir}); err != nil {
			t.Fatal(err)
		}
		var err error
		if lists[i], err = os.ReadFile(binary + suffix); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(lists[0], lists[1]) {
		t.Errorf("the second list differs:\n%s\n%s", lists[0], lists[1])
	}
	doc, err := json.Read(strings.NewReader(string(lists[0])))
	if err != nil {
		t.Fatalf("reading the list: %v", err)
	}
	for _, want := range []string{"sbom", "stdlib", "github.com/spdx/tools-golang"} {
		if !slices.ContainsFunc(doc.Packages, func(p *spdx.Package) bool { return p.PackageName == want }) {
			t.Errorf("the list does not have %s:\n%s", want, lists[0])
		}
	}
}

func TestRunRefuses(t *testing.T) {
	empty, other := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "x"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no folder":               {nil, "want one argument"},
		"nothing in it":           {[]string{empty}, "no binary in"},
		"something else in there": {[]string{other}, "what x is made of"},
	} {
		if err := run(tt.args); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
		}
	}
}

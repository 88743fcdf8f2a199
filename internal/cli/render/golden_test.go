package render

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/verify"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden runs every testdata/*.txtar: the first line of the comment names what is rendered, each input.yaml holds
// what was fetched, and want what must be written. The time is always noon of 2026-01-02.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := golden(t, archive)
			want := file(archive, "want")
			if *update {
				want.Data = got
				if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(got, want.Data) {
				t.Errorf("%s:\n--- got\n%s--- want\n%s", path, got, want.Data)
			}
		})
	}
}

func golden(t *testing.T, archive *txtar.Archive) []byte {
	t.Helper()
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	input := file(archive, "input.yaml").Data
	what, _, _ := strings.Cut(string(archive.Comment), "\n")
	var out bytes.Buffer
	var err error
	switch what {
	case "status":
		err = Status(&out, read[question.Node](t, input), now)
	case "overview":
		err = Overview(&out, read[question.Node](t, input), now)
	case "trace":
		err = Trace(&out, read[question.Node](t, input))
	case "confirm":
		var target question.Path
		if target, err = question.ParsePath(strings.TrimSpace(string(file(archive, "target").Data))); err == nil {
			err = Confirm(&out, read[question.Node](t, input), target, question.WhatRemovals)
		}
	case "space":
		err = Space(&out, read[question.Node](t, input))
	case "found":
		prefix := netip.MustParsePrefix(strings.TrimSpace(string(file(archive, "prefix").Data)))
		err = Found(&out, read[question.Node](t, input), prefix, now)
	case "space check":
		err = SpaceCheck(&out, read[question.Node](t, input))
	case "report":
		err = Report(&out, read[verify.Report](t, input))
	case "table", "table wide", "table namespaces":
		err = Table(&out, read[metav1.Table](t, input), TableOptions{Wide: what == "table wide", Namespaces: what == "table namespaces"})
	case "describe":
		err = Describe(&out, read[unstructured.Unstructured](t, input), events(t, archive), now)
	case "describe application":
		err = DescribeApplication(&out, read[unstructured.Unstructured](t, input), events(t, archive), now)
	default:
		t.Fatalf("nothing renders %q", what)
	}
	if err != nil {
		out.WriteString("error: " + err.Error() + "\n")
	}
	return out.Bytes()
}

func events(t *testing.T, archive *txtar.Archive) []corev1.Event {
	t.Helper()
	return *read[[]corev1.Event](t, file(archive, "events.yaml").Data)
}

// file finds a file of the archive, or adds an empty one.
func file(archive *txtar.Archive, name string) *txtar.File {
	for i := range archive.Files {
		if archive.Files[i].Name == name {
			return &archive.Files[i]
		}
	}
	archive.Files = append(archive.Files, txtar.File{Name: name})
	return &archive.Files[len(archive.Files)-1]
}

func read[T any](t *testing.T, y []byte) *T {
	t.Helper()
	var v T
	b, err := yaml.YAMLToJSON(y)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatalf("reading the input: %v", err)
	}
	return &v
}

package plan

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden runs every testdata/*.txtar: defaults.yaml and there.yaml are what the command says and what is there, plan-* the
// files that are read, and want is what becomes of each row and what is made.
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
			got := outcome(t, archive)
			last := &archive.Files[len(archive.Files)-1]
			if *update {
				last.Data = got
				if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if last.Name != "want" || !bytes.Equal(got, last.Data) {
				t.Errorf("%s:\n--- got\n%s--- want\n%s", path, got, last.Data)
			}
		})
	}
}

// there is what is at the hub before.
type there struct {
	Pools  []v1alpha1.IPPool
	Claims []v1alpha1.IPClaim
}

func outcome(t *testing.T, archive *txtar.Archive) []byte {
	t.Helper()
	var d Defaults
	var before there
	var rows []Row
	var out bytes.Buffer
	for _, f := range archive.Files {
		var err error
		switch {
		case f.Name == "defaults.yaml":
			err = yaml.UnmarshalStrict(f.Data, &d)
		case f.Name == "there.yaml":
			err = yaml.UnmarshalStrict(f.Data, &before)
		case strings.HasPrefix(f.Name, "plan"):
			var read File
			if read, err = Read(f.Name, f.Data, d); err == nil && len(read.Ignored) > 0 {
				fmt.Fprintf(&out, "ignored: %s\n", strings.Join(read.Ignored, ", "))
			}
			rows = append(rows, read.Rows...)
		}
		if err != nil {
			fmt.Fprintf(&out, "error: %v\n", err)
		}
	}
	p := New(rows, before.Pools, before.Claims)
	for _, r := range p.Rows {
		state := "ok"
		if r.Err != nil {
			state = "error: " + r.Err.Error()
		} else if r.Skipped != "" {
			state = "skipped: " + r.Skipped
		}
		fmt.Fprintf(&out, "%s %s %s: %s\n", r.Source, r.Kind, r.Prefix, state)
	}
	for _, pool := range p.Pools {
		fmt.Fprintf(&out, "pool %s exists=%t %s %s %q %v reserved %v\n", pool.Name, pool.Exists, pool.Spec.Family, pool.Spec.Purpose, pool.Spec.Network,
			pool.Spec.Ranges, pool.Spec.Reserved)
	}
	for _, c := range p.Claims {
		fmt.Fprintf(&out, "claim %s/%s %s of %s zone %q %q\n", c.Namespace, c.Name, c.Spec.Prefix, c.Spec.Pool, c.Spec.Zone,
			c.Annotations[AnnotationDescription])
	}
	return out.Bytes()
}

// TestJudgeAgain drops a row that the server refused: what rests on it is not made, and nothing becomes another kind.
func TestJudgeAgain(t *testing.T) {
	f, err := Read("plan", []byte("prefix,pool,purpose,namespace\n10.0.0.0/16,a,Pod,\n10.0.1.0/24,,,shop\n10.1.0.0/16,b,Pod,\n10.1.0.9,,,shop\n"), Defaults{})
	if err != nil {
		t.Fatal(err)
	}
	p := New(f.Rows, nil, nil)
	if len(p.Pools) != 2 || len(p.Claims) != 2 || len(p.Wrong()) != 0 {
		t.Fatalf("got %d pools, %d claims, wrong %v", len(p.Pools), len(p.Claims), p.Wrong())
	}
	p.Rows[0].Err = errors.New("the server says no")
	p.Judge()
	if len(p.Pools) != 1 || p.Pools[0].Name != "b" || len(p.Claims) != 1 || p.Claims[0].Name != "ip-10-1-0-9" {
		t.Errorf("got pools %v, claims %v, want those of b alone", p.Pools, p.Claims)
	}
	if p.Rows[1].Kind != Claim || p.Rows[1].Err == nil {
		t.Errorf("got %+v, want a claim that lies in no range", p.Rows[1])
	}
}

// TestWritten holds that what is written is read back as it was.
func TestWritten(t *testing.T) {
	rows := []Row{
		{Kind: Range, Prefix: mustPrefix(t, "10.0.0.0/16"), Pool: "pods", Purpose: v1alpha1.PurposePod, Network: "net", Draining: true},
		{Kind: Reserved, Prefix: mustPrefix(t, "10.0.0.0/28"), Pool: "pods"},
		{Kind: Claim, Prefix: mustPrefix(t, "10.0.1.1/32"), Pool: "pods", Namespace: "shop", Name: "dns", Zone: "west-a", Tenant: "retail",
			Owner: "ipclaim/shop/dns", Description: "two \"lines\",\nof text"},
		{Kind: Held, Prefix: mustPrefix(t, "2001:db8::/64"), Pool: "six", Owner: "cluster/a1/pods"},
	}
	for name, writer := range map[string]func(*bytes.Buffer) Writer{
		"CSV":  func(b *bytes.Buffer) Writer { return NewCSV(b) },
		"JSON": func(b *bytes.Buffer) Writer { return NewJSON(b) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, rows := range [][]Row{rows, nil} {
				var b bytes.Buffer
				w := writer(&b)
				for _, r := range rows {
					if err := w.Write(r); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				got, err := Read("f", b.Bytes(), Defaults{})
				if err != nil || len(got.Rows) != len(rows) || len(got.Ignored) != 0 {
					t.Fatalf("got %v, %v from\n%s", got, err, &b)
				}
				for i, r := range got.Rows {
					r.Source = ""
					if fmt.Sprint(r) != fmt.Sprint(rows[i]) {
						t.Errorf("got  %+v\nwant %+v", r, rows[i])
					}
				}
			}
		})
	}
}

// FuzzRead holds that whatever file is read, no row is good that could not be, and nothing overlaps that is made.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"prefix;pool\n10.0.0.0/8;a\n", `[{"kind":"range","prefix":"10.0.0.0/8","pool":"a","purpose":"Pod"}]`,
		`{"count":1,"results":[{"prefix":"10.0.0.0/8","status":{"value":"active"},"vrf":null}]}`, "address\n10.0.0.1/24\n", "\"", "[{}", "{}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := Read("f", content, Defaults{Pool: "p", Purpose: v1alpha1.PurposePod, Namespace: "n"})
		if err != nil {
			return
		}
		p := New(file.Rows, nil, nil)
		for i, a := range p.Claims {
			for _, b := range p.Claims[:i] {
				if a.Spec.Pool == b.Spec.Pool && p.Rows[a.From].Prefix.Overlaps(p.Rows[b.From].Prefix) {
					t.Errorf("%q: %s and %s overlap", content, a.Spec.Prefix, b.Spec.Prefix)
				}
			}
		}
		for _, pool := range p.Pools {
			for i, a := range pool.Spec.Ranges {
				for _, b := range pool.Spec.Ranges[:i] {
					if mustPrefix(t, a.CIDR).Overlaps(mustPrefix(t, b.CIDR)) {
						t.Errorf("%q: %s and %s overlap", content, a.CIDR, b.CIDR)
					}
				}
			}
		}
	})
}

func mustPrefix(t *testing.T, s string) netip.Prefix {
	t.Helper()
	p, err := parsePrefix(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

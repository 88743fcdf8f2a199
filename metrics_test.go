package meridian_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestMetrics holds the names in docs/metrics.md against those of the metrics that the code exports, both ways. Types, labels
// and meanings it does not read.
func TestMetrics(t *testing.T) {
	text, err := os.ReadFile("docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(meridian_[a-z_]+)` \\|").FindAllSubmatch(text, -1) {
		if documented[string(row[1])] {
			t.Errorf("docs/metrics.md has %s twice", row[1])
		}
		documented[string(row[1])] = true
	}
	exported := exportedMetrics(t)
	for _, name := range slices.Sorted(maps.Keys(exported)) {
		if !documented[name] {
			t.Errorf("%s exports %s, which docs/metrics.md does not have", exported[name], name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		if exported[name] == "" {
			t.Errorf("docs/metrics.md has %s, which nothing exports", name)
		}
	}
}

// exportedMetrics finds, with the files that they are in, the metrics of all packages that make some.
func exportedMetrics(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains([]string{".git", "scale-tests", "bin", ".meridian", "testdata"}, entry.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, name := range metricsOf(file) {
			found[name] = path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// metricsOf finds the metrics of a file. A metric is a name and a help text, both literals, side by side: as Name and Help of
// options, or as the first two arguments of a call, or the first two elements of a struct, where a help text is told by its
// full stop. One file makes metrics of one subsystem. What is made otherwise is not found.
func metricsOf(file *ast.File) (names []string) {
	if !slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool {
		return i.Path.Value == `"github.com/prometheus/client_golang/prometheus"`
	}) {
		return nil
	}
	subsystem := ""
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if name(n.Key) == "Subsystem" {
				subsystem = literal(n.Value) + "_"
			}
		case *ast.CallExpr:
			if name(n.Fun) == "BuildFQName" {
				subsystem = literal(n.Args[1]) + "_"
			}
			names = append(names, named(n.Args)...)
		case *ast.CompositeLit:
			names = append(names, named(n.Elts)...)
			names = append(names, optioned(n.Elts)...)
		}
		return true
	})
	for i := range names {
		names[i] = "meridian_" + subsystem + names[i]
	}
	return names
}

var metricName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// named is the metric that the first two of some expressions make, if they do.
func named(exprs []ast.Expr) []string {
	if len(exprs) >= 2 && metricName.MatchString(literal(exprs[0])) && strings.HasSuffix(literal(exprs[1]), ".") {
		return []string{literal(exprs[0])}
	}
	return nil
}

// optioned is the metric that the fields of options make, if they do.
func optioned(fields []ast.Expr) []string {
	values := map[string]string{}
	for _, field := range fields {
		if kv, ok := field.(*ast.KeyValueExpr); ok {
			values[name(kv.Key)] = literal(kv.Value)
		}
	}
	if values["Name"] != "" && values["Help"] != "" {
		return []string{values["Name"]}
	}
	return nil
}

func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// literal is the value of a string literal; anything else is empty.
func literal(e ast.Expr) string {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		s, _ := strconv.Unquote(lit.Value)
		return s
	}
	return ""
}

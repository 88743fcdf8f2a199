package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// manifest is one object that was read, or why it could not be.
type manifest struct {
	// source is the file, and which document of it.
	source string
	object *unstructured.Unstructured
	err    error
}

// readManifests reads files, directories and, for "-", in. A document that cannot be read is a manifest with an error;
// what cannot be opened is an error of its own.
func readManifests(in io.Reader, names []string, recursive bool) ([]manifest, error) {
	if len(names) == 0 {
		return nil, errors.New("give what to read with -f FILE, -f DIRECTORY or -f -")
	}
	var out []manifest
	for _, name := range names {
		if name == "-" {
			more, err := readDocuments("standard input", in)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
			continue
		}
		files, err := manifestFiles(name, recursive)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("reading manifests: %w", err)
			}
			more, err := readDocuments(file, bytes.NewReader(content))
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there are no objects in %q", names)
	}
	return out, nil
}

// manifestFiles is the file itself, or the YAML and JSON files of a directory in order.
func manifestFiles(name string, recursive bool) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	var files []string
	err = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != name && !recursive:
			return fs.SkipDir
		case !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	return files, nil
}

func readDocuments(source string, in io.Reader) ([]manifest, error) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(in))
	var out []manifest
	for n := 1; ; n++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", source, err)
		}
		out = append(out, readDocument(fmt.Sprintf("%s, document %d", source, n), document)...)
	}
}

// readDocument reads one object, or those of a List; a document of comments alone has none.
func readDocument(source string, document []byte) []manifest {
	content, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return []manifest{{source: source, err: err}}
	}
	if bytes.Equal(content, []byte("null")) {
		return nil
	}
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(content); err != nil {
		return []manifest{{source: source, err: err}}
	}
	if !object.IsList() {
		return []manifest{{source: source, object: &object}}
	}
	list, err := object.ToList()
	if err != nil {
		return []manifest{{source: source, err: err}}
	}
	var out []manifest
	for i := range list.Items {
		out = append(out, manifest{source: fmt.Sprintf("%s, item %d", source, i+1), object: &list.Items[i]})
	}
	return out
}

// byNeed orders manifests so that what others need comes first: kinds, then namespaces, then the rest as written.
func byNeed(all []manifest) {
	rank := func(m manifest) int {
		switch {
		case m.object == nil:
			return 2
		case m.object.GetKind() == "CustomResourceDefinition":
			return 0
		case m.object.GetKind() == "Namespace":
			return 1
		default:
			return 2
		}
	}
	slices.SortStableFunc(all, func(a, b manifest) int { return rank(a) - rank(b) })
}

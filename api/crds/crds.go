// Package crds carries the CustomResourceDefinitions of api/v1alpha1 as YAML,
// so that a binary can install them in Global's API server. The Application's
// holds the whole pod template and is too large for the annotation that a
// client-side `kubectl apply` leaves: install by `kubectl apply --server-side`.
//
// Invariant: the YAML is what `make generate` writes, byte for byte. The command
// line, Global's tests and anything that prepares an API server may import it.
package crds

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml
var files embed.FS

// All returns every CustomResourceDefinition as one YAML document each, in the
// order of their names.
func All() [][]byte {
	// The patterns and names are fixed when this is compiled: an error here is
	// a programmer's.
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		panic(err)
	}
	docs := make([][]byte, 0, len(names))
	for _, name := range names {
		doc, err := files.ReadFile(name)
		if err != nil {
			panic(err)
		}
		docs = append(docs, doc)
	}
	return docs
}

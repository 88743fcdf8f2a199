// Package samples carries sample applications as YAML: Bookinfo, and an online
// shop of eleven services, one of them in a namespace of its own that an
// AccessPolicy opens, and which depends on a database outside. They are what a newcomer sees running first. The pools are
// where they have their addresses from.
//
// Invariants: each folder but pools is one namespace, its Namespace object in
// 00-namespace.yaml; each file is one document; everything belongs to the
// environment prod; selectors by name use the region west and the zone west-a
// only. The command line and tests may import it.
package samples

import (
	"embed"
	"io/fs"
)

//go:embed bookinfo/*.yaml payments/*.yaml shop/*.yaml
var files embed.FS

//go:embed pools/*.yaml
var pools embed.FS

// Pools returns the IPPools that are for all clusters, one YAML document each.
func Pools() [][]byte { return documents(pools) }

// Documents returns every object of the sample applications, one YAML document each, in an
// order in which they can be applied: each Namespace before what is in it.
func Documents() [][]byte { return documents(files) }

func documents(files embed.FS) [][]byte {
	// The patterns are fixed when this is compiled: an error here is a
	// programmer's.
	names, err := fs.Glob(files, "*/*.yaml")
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

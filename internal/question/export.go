package question

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// KindExport asks with an ExportRequest for what is compiled for one cluster, page by page.
const KindExport = "export"

// ExportRequest is the payload of KindExport.
type ExportRequest struct {
	Cluster string `json:"cluster"`
	// Target is the cluster's place, which Global fills in.
	Target Path `json:"target,omitzero"`
	// After is the Next of the page before; empty asks for the first.
	After string `json:"after,omitempty"`
}

// Validate refuses a request that names no cluster.
func (r ExportRequest) Validate() error {
	if r.Cluster == "" {
		return fmt.Errorf("%w: say which cluster is meant", ErrInvalid)
	}
	return nil
}

// MaxPage bounds the objects of a Page, in bytes of their JSON. With what is around them they fit an answer.
const MaxPage = MaxAnswer * 3 / 4

// Page is a part of what is compiled for a cluster, in the order in which it is applied.
type Page struct {
	// Digest is the state that the page was taken from: pages of one digest belong together.
	Digest string `json:"digest"`
	// Total objects are compiled for the cluster.
	Total   int               `json:"total"`
	Objects []json.RawMessage `json:"objects"`
	// TooLong names objects that no answer can hold.
	TooLong []string `json:"tooLong,omitempty"`
	// Next asks for the page after this one; empty if this is the last.
	Next string `json:"next,omitempty"`

	size int
}

// Add puts an object at the end of the page. It tells whether the page had room: if not, the object begins the next.
func (p *Page) Add(name string, object []byte) bool {
	// Encoded answers escape what HTML would take for markup.
	var escaped bytes.Buffer
	json.HTMLEscape(&escaped, object)
	size := escaped.Len() + 1
	switch {
	case size > MaxPage:
		p.TooLong = append(p.TooLong, name)
		size = len(name) + 3
	case p.size+size > MaxPage:
		return false
	default:
		p.Objects = append(p.Objects, escaped.Bytes())
	}
	p.size += size
	return true
}

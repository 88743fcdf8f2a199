package tiertest

import (
	"strings"
	"sync"
	"testing"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

// Root is the authority that all in one process of tests believe.
var Root = sync.OnceValue(func() *identitytest.Root { return identitytest.Must(identitytest.Options{}) })

// Source is the identity of the process at a path.
func Source(t testing.TB, path string) *identity.Source {
	t.Helper()
	place, err := question.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	source, err := Root().Source(place)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// relations are the place of a child, which is its path but for a replica, and the place that it dials: a replica another of
// its own zone.
func relations(t testing.TB, path string) (place string, dials question.Path) {
	t.Helper()
	own, _, replica := strings.Cut(path, "/replica/")
	dials, err := question.ParsePath(own)
	if err != nil {
		t.Fatal(err)
	}
	if !replica {
		dials, _ = dials.Parent()
	}
	return own, dials
}

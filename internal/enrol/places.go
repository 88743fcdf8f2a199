package enrol

import (
	"fmt"
	"slices"

	"github.com/meridian-federation/meridian/internal/question"
)

// Places are the regions, zones and clusters of the inventory. Global itself always is a place.
type Places struct {
	all map[question.Path]bool
}

// NewPlaces makes the set of some places and those above them, without those that have left and what is below these.
func NewPlaces(in, left []question.Path) Places {
	p := Places{all: map[question.Path]bool{{}: true}}
	for _, path := range in {
		if slices.ContainsFunc(left, func(gone question.Path) bool { return gone.Contains(path) }) {
			continue
		}
		for ok := true; ok; path, ok = path.Parent() {
			p.all[path] = true
		}
	}
	for _, path := range left {
		delete(p.all, path)
	}
	return p
}

// Has tells whether a path is one of them.
func (p *Places) Has(path question.Path) bool { return p.all[path] }

func (p *Places) hasText(text string) bool {
	path, err := question.ParsePath(text)
	return err == nil && p.all[path]
}

// check names the part of a path that is not in the inventory.
func (p *Places) check(path question.Path) error {
	for _, part := range []struct {
		path  question.Path
		field string
		text  string
	}{
		{question.Path{Region: path.Region}, "region", "there is no Region " + path.Region},
		{question.Path{Region: path.Region, Zone: path.Zone}, "zone",
			fmt.Sprintf("there is no accepted Zone %s in region %s", path.Zone, path.Region)},
		{path, "cluster", fmt.Sprintf("there is no accepted Cluster %s in zone %s", path.Cluster, path.Zone)},
	} {
		if !p.all[part.path] {
			return fmt.Errorf("%w: %s: %s; see `meridian get %ss`", question.ErrInvalid, part.field, part.text, part.field)
		}
	}
	return nil
}

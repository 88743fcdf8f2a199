package cli

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
)

// selection is objects of one kind that a person names; no names is all of them.
type selection struct {
	mapping *meta.RESTMapping
	names   []string
}

// selections reads KIND[,KIND…] [NAME…], a category, or KIND/NAME….
func (s *server) selections(args []string) ([]selection, error) {
	if len(args) == 0 {
		return nil, errors.New("say which kind, such as applications, regions, zones or clusters, or meridian for all of Meridian's")
	}
	if strings.Contains(args[0], "/") {
		return s.slashed(args)
	}
	var out []selection
	for kind := range strings.SplitSeq(args[0], ",") {
		mappings, err := s.kinds(kind)
		if err != nil {
			return nil, err
		}
		for _, m := range mappings {
			out = append(out, selection{mapping: m, names: args[1:]})
		}
	}
	if len(out) > 1 && len(args) > 1 {
		return nil, errors.New("names go with one kind only")
	}
	return out, nil
}

// kinds finds one kind by any of its names, or those of a category.
func (s *server) kinds(name string) ([]*meta.RESTMapping, error) {
	m, err := s.resolve(name)
	if err == nil {
		return []*meta.RESTMapping{m}, nil
	}
	members := s.category(name)
	if len(members) == 0 {
		return nil, err
	}
	var out []*meta.RESTMapping
	for _, member := range members {
		m, err := s.resolve(member.String())
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func (s *server) slashed(args []string) ([]selection, error) {
	var out []selection
	for _, arg := range args {
		kind, name, ok := strings.Cut(arg, "/")
		if !ok || kind == "" || name == "" {
			return nil, fmt.Errorf("%q is not KIND/NAME, as the others are", arg)
		}
		m, err := s.resolve(kind)
		if err != nil {
			return nil, err
		}
		out = append(out, selection{mapping: m, names: []string{name}})
	}
	return out, nil
}

package clusteragent

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// The values of object.LabelLocate.
const (
	locateCounts    = "counts"
	locateAddresses = "addresses"
)

// located is what is known of one Service that is located: by slice, as little as is reported.
type located struct {
	slices []slice
	// told is what the zone was told last.
	told telling
	// pace says when a change may be told.
	pace pace
}

// slice is one EndpointSlice.
type slice struct {
	name   string
	family discoveryv1.AddressType
	ready  int32
	// addresses are those of the ready endpoints, sorted; none where counts are enough.
	addresses []string
	chunked   bool
}

// telling is what is said of a Service: the number of what is ready, and chunks by name with the versions of their records.
type telling struct {
	spoken bool
	ready  int32
	chunks map[string]record.Version
}

// serviceOf is the Service that a slice belongs to, which has the application's name.
func serviceOf(s *discoveryv1.EndpointSlice) types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
}

// read keeps of a slice what is reported.
func read(s *discoveryv1.EndpointSlice) slice {
	out := slice{name: strings.Clone(s.Name), family: s.AddressType, chunked: s.Labels[object.LabelLocate] == locateAddresses}
	for _, e := range s.Endpoints {
		if !isReady(e) {
			continue
		}
		out.ready++
		if out.chunked {
			out.addresses = append(out.addresses, strings.Clone(e.Addresses[0]))
		}
	}
	slices.Sort(out.addresses)
	return out
}

// isReady follows the API: an unknown readiness is to be taken for ready, and what terminates gets no new calls. All
// addresses of an endpoint are one pod's, and the first is used.
func isReady(e discoveryv1.Endpoint) bool {
	c := e.Conditions
	return len(e.Addresses) > 0 && (c.Ready == nil || *c.Ready) && (c.Terminating == nil || !*c.Terminating)
}

// put replaces a slice, and tells whether anything that is reported has changed.
func (l *located) put(s slice) bool {
	i, there := slices.BinarySearchFunc(l.slices, s.name, func(a slice, name string) int { return cmp.Compare(a.name, name) })
	if !there {
		l.slices = slices.Insert(l.slices, i, s)
		return true
	}
	was := l.slices[i]
	l.slices[i] = s
	return was.ready != s.ready || was.chunked != s.chunked || was.family != s.family || !slices.Equal(was.addresses, s.addresses)
}

// drop removes a slice, and tells whether it was there.
func (l *located) drop(name string) bool {
	before := len(l.slices)
	l.slices = slices.DeleteFunc(l.slices, func(s slice) bool { return s.name == name })
	return len(l.slices) < before
}

// family is the one that is counted: a Service of both has every pod twice.
func (l *located) family() discoveryv1.AddressType {
	if slices.ContainsFunc(l.slices, func(s slice) bool { return s.family == discoveryv1.AddressTypeIPv4 }) {
		return discoveryv1.AddressTypeIPv4
	}
	return discoveryv1.AddressTypeIPv6
}

// ready is how many endpoints are.
func (l *located) ready() int32 {
	var n int32
	family := l.family()
	for _, s := range l.slices {
		if s.family == family {
			n += s.ready
		}
	}
	return n
}

// chunks yields the addresses by chunk: a slice, or a part of one that is larger than a record may be.
func (l *located) chunks(yield func(name string, addresses []string)) {
	family := l.family()
	for _, s := range l.slices {
		if !s.chunked || s.family != family {
			continue
		}
		i := 0
		for part := range slices.Chunk(s.addresses, record.MaxEndpoints) {
			yield(chunkName(s.name, i), part)
			i++
		}
	}
}

// versionOf stands for a chunk's addresses.
func versionOf(addresses []string) record.Version {
	return record.VersionOf([]byte(strings.Join(addresses, " ")))
}

// chunkName names the first part of a slice by the slice; where that is no DNS label, by its hash. Other parts are named by
// a hash too: any label made of the slice's name could be another slice's.
func chunkName(slice string, part int) string {
	name := slice
	if part > 0 {
		name = fmt.Sprintf("%s/%d", slice, part) // no label
	}
	if len(validation.IsDNS1123Label(name)) == 0 {
		return name
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	return fmt.Sprintf("h%016x", h.Sum64())
}

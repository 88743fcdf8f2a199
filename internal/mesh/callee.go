package mesh

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
)

// CalleeInput is all that istiod is told about an application that its proxies call.
type CalleeInput struct {
	// Cluster is the one whose istiod it is.
	Cluster record.Cluster
	Service record.Service
	// Audience is zero where it is not known.
	Audience record.Audience
	// Sites are where the application is and other istiods look after it, in any order. Istiod knows the endpoints of its own
	// clusters by itself.
	Sites []Site
}

// Site is an application in one cluster.
type Site struct {
	Place record.Place
	// Ready counts its ready endpoints.
	Ready int32
	// Weightless: the place has been stale for longer than the operator trusts what was last heard of it. Nothing is sent
	// there.
	Weightless bool
}

// Reasons of the problems that consumers of an application are told.
const (
	// ReasonGatewayUnknown: it is ready on another network, in a cluster whose gateway has no known address, or one that
	// cannot be it.
	ReasonGatewayUnknown = "GatewayUnknown"
	// ReasonPodRangesUnknown: it is ready on this network, in clusters whose pods NetworkPolicies cannot let in.
	ReasonPodRangesUnknown = "PodRangesUnknown"
	// ReasonNoProxy: it is ready in other clusters, where its pods have no proxy, which alone could tell who calls from elsewhere.
	ReasonNoProxy = "NoProxy"
	// ReasonOnlyUDP: it is ready in other clusters, and none of its ports is TCP, which alone the mesh carries.
	ReasonOnlyUDP = "OnlyUDP"
	// ReasonAddressInvalid: some of its pods on this network have addresses that are no host's.
	ReasonAddressInvalid = "AddressInvalid"
)

// Callee compiles what istiod is told about an application that its proxies call: a DestinationRule, and for clusters on
// other networks the gateways by which they are reached (WorkloadEntries). What is on this network is Chunk's. The problems
// say what of the application cannot be called, and name no zone: they are the consumers'. There is nothing without a mesh,
// nor for an application without ports.
func Callee(in CalleeInput) ([]Object, []record.Problem, error) {
	if !inMesh(in.Cluster) || len(in.Service.Ports) == 0 {
		return nil, nil, nil
	}
	c, err := newCallee(in.Cluster, in.Service, in.Audience)
	if err != nil {
		return nil, nil, err
	}
	sites := slices.Clone(in.Sites)
	slices.SortFunc(sites, func(a, b Site) int { return cmp.Compare(a.Place.Cluster, b.Place.Cluster) })
	objects := []Object{c.destinationRule()}
	if len(c.ports) == 0 {
		return objects, c.onlyUDP(sites), nil
	}
	sites, bare := c.proxied(sites)
	behind, problems := c.behindGateways(sites)
	problems = append(bare, problems...)
	if !podsReached(in.Cluster) {
		problems = append(problems, c.rangesUnknown(sites)...)
	}
	objects = append(objects, behind...)
	sortObjects(objects)
	return objects, problems, nil
}

// proxied leaves out the sites where the application's pods have no proxy.
func (c *callee) proxied(sites []Site) ([]Site, []record.Problem) {
	var with []Site
	var without []string
	for _, site := range sites {
		switch {
		case c.reached(site.Place):
			with = append(with, site)
		case site.Ready > 0:
			without = append(without, site.Place.Cluster)
		}
	}
	if len(without) == 0 {
		return with, nil
	}
	return with, []record.Problem{c.problem(ReasonNoProxy,
		"%s is ready in %s, where its pods have no proxy, and is called there from the same cluster alone; run it in the callers' clusters, or in clusters with a mesh, with pods that ask neither for no proxy (%s) nor for their node's network",
		record.ServiceName(c.service.Namespace, c.service.Application), fewClusters(without), labelInject)}
}

// reached tells whether the application's pods at a place have a proxy: without one nobody there could tell who calls from
// elsewhere, so the network lets nobody in who does.
func (c *callee) reached(place record.Place) bool { return !c.service.Unproxied && !place.Meshless }

// callee is one called application, for the renderers of each topology.
type callee struct {
	service record.Service
	// ports are the Service's TCP ports.
	ports []record.Port
	// exportTo of Istio's objects about it.
	exportTo []string
	// network of the callers.
	network string
}

func newCallee(cluster record.Cluster, s record.Service, audience record.Audience) (*callee, error) {
	c := &callee{service: s, ports: tcpPorts(s.Ports), network: cluster.Network}
	err := checkService(s)
	if err == nil {
		c.exportTo, err = exportTo(s.Namespace, audience)
	}
	if err != nil {
		return nil, c.failed(err)
	}
	return c, nil
}

func (c *callee) failed(err error) error {
	return fmt.Errorf("compiling calls of %s/%s: %w", c.service.Namespace, c.service.Application, err)
}

func (c *callee) draft(group, version, kind, name string, spec fields) draft {
	return draft{id: idOf(group, version, kind, c.service.Namespace, name), application: c.service.Application,
		spec: spec}
}

// endpointLabels are matched by the Service's selector, and tell proxies to use mutual TLS.
func (c *callee) endpointLabels() fields {
	return append(selectorOf(c.service.Application), field{"security.istio.io/tlsMode", "istio"})
}

// serviceAccount is the application's in every cluster, so that the identities behind its host never change.
func (c *callee) serviceAccount() string {
	return cmp.Or(c.service.ServiceAccount, c.service.Application)
}

func (c *callee) onlyUDP(sites []Site) []record.Problem {
	var clusters []string
	for _, site := range sites {
		if site.Ready > 0 {
			clusters = append(clusters, site.Place.Cluster)
		}
	}
	if len(clusters) == 0 {
		return nil
	}
	return []record.Problem{c.problem(ReasonOnlyUDP, "%s is ready in %s and has UDP ports alone, which the mesh does not carry between clusters; run it in the callers' clusters, or give it a TCP port",
		record.ServiceName(c.service.Namespace, c.service.Application), fewClusters(clusters))}
}

func (c *callee) problem(reason, format string, args ...any) record.Problem {
	return record.Problem{Object: serviceID(c.service.Namespace, c.service.Application).Short(), Reason: reason,
		Message: fmt.Sprintf(format, args...)}
}

// fewClusters names some clusters, in words of bounded length.
func fewClusters(clusters []string) string {
	if len(clusters) == 1 {
		return "cluster " + clusters[0]
	}
	return "clusters " + few(clusters)
}

// few lists some of what there is, in words of bounded length.
func few(list []string) string {
	const most = 3
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// locality is REGION/ZONE.
func locality(p record.Place) string {
	if p.Zone == "" {
		return p.Region
	}
	return p.Region + "/" + p.Zone
}

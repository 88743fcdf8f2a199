package cli

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// server is Global's API server.
type server struct {
	config *rest.Config
	// namespace is the one meant where none is written; enforced if it was given as a flag.
	namespace string
	enforced  bool

	dynamic   dynamic.Interface
	rest      rest.Interface
	discovery discovery.CachedDiscoveryInterface
	mapper    meta.ResettableRESTMapper
}

func newServer(config *rest.Config, namespace string, enforced bool) (*server, error) {
	dc, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	cached := memory.NewMemCacheClient(dc)
	return &server{
		config: config, namespace: namespace, enforced: enforced,
		dynamic: dyn, rest: dc.RESTClient(), discovery: cached, mapper: restmapper.NewDeferredDiscoveryRESTMapper(cached),
	}, nil
}

// mappingFor finds the resource of a kind; a kind that came into being since is found too.
func (s *server) mappingFor(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	mapping, err := s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		s.mapper.Reset()
		mapping, err = s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("the server has no kind %s of %s: are Meridian's CRDs installed there?", gvk.Kind, gvk.GroupVersion())
	}
	if err != nil {
		return nil, fmt.Errorf("asking the server for its kinds: %w", err)
	}
	return mapping, nil
}

// resolve finds the resource that a person names: by plural, singular, kind or short name, with or without its group.
func (s *server) resolve(name string) (*meta.RESTMapping, error) {
	expander := restmapper.NewShortcutExpander(s.mapper, s.discovery, nil)
	full, part := schema.ParseResourceArg(strings.ToLower(name))
	var gvk schema.GroupVersionKind
	if full != nil {
		gvk, _ = expander.KindFor(*full)
	}
	if gvk.Empty() {
		var err error
		gvk, err = expander.KindFor(part.WithVersion(""))
		if meta.IsNoMatchError(err) {
			return nil, fmt.Errorf("the server has no kind %q", name)
		}
		if err != nil {
			return nil, fmt.Errorf("asking the server for its kinds: %w", err)
		}
	}
	return s.mappingFor(gvk)
}

// category lists the resources in a category, such as "meridian"; none if there is no such category.
func (s *server) category(name string) []schema.GroupResource {
	found, _ := restmapper.NewDiscoveryCategoryExpander(s.discovery).Expand(name)
	return found
}

// resource is where objects of a kind are, in a namespace where the kind has them.
func (s *server) resource(m *meta.RESTMapping, namespace string) dynamic.ResourceInterface {
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return s.dynamic.Resource(m.Resource).Namespace(namespace)
	}
	return s.dynamic.Resource(m.Resource)
}

// label is how commands name an object: application.meridian.dev/cart.
func label(gk schema.GroupKind, name string) string {
	kind := strings.ToLower(gk.Kind)
	if gk.Group != "" {
		kind += "." + gk.Group
	}
	return kind + "/" + name
}

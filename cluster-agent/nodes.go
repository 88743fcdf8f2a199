package clusteragent

import (
	"log/slog"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	nodeResource      = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	namespaceResource = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// nodes is the sink that counts nodes.
type nodes struct {
	log    *slog.Logger
	health *health
	// version asks the API server for its own; it may have changed when nodes have to be listed again.
	version func() (string, error)

	names      map[string]struct{}
	quiet      bool // while listing
	kubernetes string
}

func (n *nodes) listing() {
	n.names, n.quiet = map[string]struct{}{}, true
}

func (n *nodes) see(obj metav1.Object) {
	n.names[obj.GetName()] = struct{}{}
	n.publish()
}

func (n *nodes) vanish(obj metav1.Object) {
	delete(n.names, obj.GetName())
	n.publish()
}

func (n *nodes) listed(string, bool) {
	n.quiet = false
	version, err := n.version()
	if err != nil {
		n.log.Warn("asking for the version of the API server", "error", err)
	} else {
		n.kubernetes = version
	}
	n.publish()
}

func (n *nodes) publish() {
	if !n.quiet {
		n.health.nodes(len(n.names), n.kubernetes)
	}
}

// serverVersion asks for the API server's version.
func (k *kube) serverVersion() (string, error) {
	v, err := k.discovery.ServerVersion()
	if err != nil {
		return "", err
	}
	return v.GitVersion, nil
}

package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/meridian-federation/meridian/deploy/agent"
	"github.com/meridian-federation/meridian/deploy/audit"
	"github.com/meridian-federation/meridian/deploy/rbac"
	"github.com/meridian-federation/meridian/internal/localkube"
)

// hubName is the localkube that holds the resources. No pods run there.
const hubName = "global"

// kube describes one API server's processes.
func (l layout) kube(name string, port int, o Options) localkube.Config {
	cfg := localkube.Config{Name: name, BinDir: l.bin(), Dir: l.data("kube-" + name), LogDir: l.logs(), PidDir: l.pids(),
		Kubeconfig: l.kubeconfig(name), Port: port, Detached: true, AuditLog: o.AuditLog}
	if name == hubName {
		cfg.NoWorkloads, cfg.AuditPolicy = true, audit.Policy()
		cfg.Users = []localkube.User{{Name: globalUser, Groups: []string{rbac.GlobalGroup}}}
	} else {
		cfg.Nodes = o.Nodes
	}
	return cfg
}

// startCluster starts one cluster, prepares it, and writes a kubeconfig of the agent's role for its agent.
func startCluster(ctx context.Context, l layout, c Cluster, o Options) (*localkube.Cluster, error) {
	cfg := l.kube(c.Name, c.API, o)
	kube, err := localkube.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := once(cfg.Dir, "installed", clusterManifests(), func() error { return Prepare(ctx, kube) }); err != nil {
		return nil, err
	}
	return kube, kube.WriteKubeconfig(localkube.AgentUser, l.kubeconfig(agentName(c.Name)))
}

// Prepare gives a cluster what its agent and the mesh need before the agent starts: Istio's definitions, the root
// namespace, and the agent's namespace and role.
func Prepare(ctx context.Context, kube *localkube.Cluster) error {
	if err := kube.InstallIstioCRDs(ctx); err != nil {
		return err
	}
	return Apply(ctx, kube.RESTConfig(), clusterManifests())
}

func clusterManifests() []byte { return append([]byte(istioNamespace), agent.RBAC()...) }

// istioNamespace is the mesh's root namespace, which Istio's own installation would bring.
const istioNamespace = `apiVersion: v1
kind: Namespace
metadata:
  name: istio-system
---
`

// once does something unless it was done before for the same content.
func once(dir, name string, content []byte, do func() error) error {
	sum := sha256.Sum256(content)
	file, want := filepath.Join(dir, name), hex.EncodeToString(sum[:])
	if have, err := os.ReadFile(file); err == nil && string(have) == want {
		return nil
	}
	if err := do(); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
		return fmt.Errorf("noting what is installed: %w", err)
	}
	return nil
}

package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"

	"github.com/meridian-federation/meridian/api/crds"
	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/deploy/changes"
	"github.com/meridian-federation/meridian/deploy/rbac"
	"github.com/meridian-federation/meridian/internal/localkube"
)

// globalUser is whom the hub's API server knows Global as. Its policy of what is recorded names it, too.
const globalUser = "meridian-global"

// startHub starts the hub's API server, gives it what hubManifests are, and writes a kubeconfig of Global's own role for Global.
func startHub(ctx context.Context, l layout, t Topology, o Options) (*localkube.Cluster, error) {
	cfg := l.kube(hubName, t.Hub, o)
	hub, err := localkube.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := once(cfg.Dir, "installed", hubManifests(), func() error { return PrepareHub(ctx, hub) }); err != nil {
		return nil, err
	}
	if err := hub.WriteKubeconfig(globalUser, l.kubeconfig(globalUser)); err != nil {
		return nil, err
	}
	return hub, awaitNoted(ctx, hub) // a server that has just started does not know the resources of its policies at once
}

// hubManifests are the resources' definitions, the roles of people and of Global, and the policies that note who changes a spec.
func hubManifests() []byte {
	return bytes.Join(append(crds.All(), rbac.Roles(), rbac.Global(), changes.Policies()), nil)
}

// PrepareHub gives an API server hubManifests, and returns when they are in force.
func PrepareHub(ctx context.Context, hub *localkube.Cluster) error {
	if err := hub.InstallCRDs(ctx, crds.All()...); err != nil {
		return err
	}
	for _, manifests := range [][]byte{rbac.Roles(), rbac.Global(), changes.Policies()} {
		if err := Apply(ctx, hub.RESTConfig(), manifests); err != nil {
			return err
		}
	}
	return awaitNoted(ctx, hub)
}

// notedWithin bounds the wait for policies to be in force.
const notedWithin = time.Minute

// awaitNoted waits until the API server notes who changes a spec. Before, it may know the policy that refuses what is not
// noted and not the one that notes it, or have a policy and not yet know the resource that it is of; that it says in errors of
// several kinds, so any is one to wait with.
func awaitNoted(ctx context.Context, hub *localkube.Cluster) error {
	client, err := dynamic.NewForConfig(hub.RESTConfig())
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	probe := &unstructured.Unstructured{}
	probe.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Environment"))
	probe.SetName("noted")
	environments := client.Resource(v1alpha1.GroupVersion.WithResource("environments"))
	var last error
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, notedWithin, true, func(ctx context.Context) (bool, error) {
		made, err := environments.Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			last = err
			return false, nil
		}
		return made.GetAnnotations()[v1alpha1.AnnotationChangedBy] != "", nil
	})
	if err != nil {
		return fmt.Errorf("waiting until the hub notes who changes a spec: %w", errors.Join(err, last))
	}
	return nil
}

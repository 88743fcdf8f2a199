package localkube

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// lookEvery is the pause between two looks at a condition in the cluster.
	lookEvery = 50 * time.Millisecond
	// nodeWriters create nodes at the same time.
	nodeWriters = 16
)

// nodeResources is what each simulated node offers.
func nodeResources() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("32"),
		corev1.ResourceMemory: resource.MustParse("128Gi"),
		corev1.ResourcePods:   resource.MustParse("250"),
	}
}

// settle makes the nodes and waits until pods can be created and run.
func (c *Cluster) settle(ctx context.Context) error {
	client, err := kubernetes.NewForConfigAndClient(rest.CopyConfig(c.RESTConfig()), c.client)
	if err != nil {
		return err
	}
	if err := c.createNodes(ctx, client); err != nil {
		return err
	}
	if err := c.awaitNodes(ctx, client); err != nil {
		return err
	}
	return awaitDefaultAccount(ctx, client)
}

func (c *Cluster) createNodes(ctx context.Context, client kubernetes.Interface) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(nodeWriters)
	for i := range c.cfg.Nodes {
		g.Go(func() error {
			node := simulatedNode(fmt.Sprintf("%s-node-%d", c.cfg.Name, i))
			_, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("creating node %s: %w", node.Name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func simulatedNode(name string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{corev1.LabelHostname: name, "type": "kwok"},
			Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
		},
		Status: corev1.NodeStatus{Allocatable: nodeResources(), Capacity: nodeResources()},
	}
}

func (c *Cluster) awaitNodes(ctx context.Context, client kubernetes.Interface) error {
	var ready int
	err := wait.PollUntilContextCancel(ctx, lookEvery, true, func(ctx context.Context) (bool, error) {
		// Version 0 is answered from the API server's cache.
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return false, err
		}
		ready = 0
		for _, n := range nodes.Items {
			if isReady(n) {
				ready++
			}
		}
		return ready >= c.cfg.Nodes, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for nodes (%d of %d are ready; see the log of %s): %w", ready, c.cfg.Nodes, c.spec(Kwok).Log, err)
	}
	return nil
}

func isReady(n corev1.Node) bool {
	for _, cond := range n.Status.Conditions {
		if cond.Type == corev1.NodeReady {
			return cond.Status == corev1.ConditionTrue
		}
	}
	return false
}

// awaitDefaultAccount waits for the account that pods run as by default, the
// first thing that the controllers make.
func awaitDefaultAccount(ctx context.Context, client kubernetes.Interface) error {
	err := wait.PollUntilContextCancel(ctx, lookEvery, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(corev1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the controllers to make the default service account: %w", err)
	}
	return nil
}

//go:build linux

package zonefaults

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/local"
	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/process"
)

// cluster is an API server with its agent, a process.
type cluster struct {
	*witness
	whole    *testing.T // the agent outlives the test of the fault in which it was started
	programs programs
	kube     *localkube.Cluster
	agent    *process.Process
	admin    string // of the agent
}

// startClusters starts API servers, each prepared for its agent, that end with the test.
func startClusters(t *testing.T, p programs, in *intent, names []string) []*cluster {
	t.Helper()
	out := make([]*cluster, len(names))
	var g errgroup.Group
	g.SetLimit(2) // starting is bound by CPU
	for i, name := range names {
		g.Go(func() error {
			kube, err := localkube.Start(t.Context(), localkube.Config{Name: name, BinDir: p.bin, Dir: p.data("kube-" + name),
				LogDir: filepath.Join(p.dir, "logs"), APIOnly: true, AuditLog: true})
			if err != nil {
				return err
			}
			out[i] = &cluster{witness: newWitness(name, in), whole: t, programs: p, kube: kube}
			return local.Prepare(t.Context(), kube)
		})
	}
	err := g.Wait()
	for _, c := range out {
		if c != nil {
			t.Cleanup(func() {
				// Nobody will look at the data again.
				if err := errors.Join(c.kube.Process(localkube.APIServer).Stop(context.Background(), 0), c.kube.Stop()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	must(t, err)
	return out
}

// start starts the agent, which is told of one of the zone's addresses.
func (c *cluster) start(t *testing.T, address string) {
	t.Helper()
	name := "agent-" + c.kube.Name()
	kubeconfig := c.programs.data(name + ".yaml")
	must(t, c.kube.WriteKubeconfig(localkube.AgentUser, kubeconfig))
	port, err := process.FreePort()
	must(t, err)
	c.admin = config.Loopback(port)
	identity, err := c.programs.identity(name, clusterPlace(c.kube.Name()))
	must(t, err)
	c.agent, err = c.programs.start(t.Context(), nil, name, "meridian-agent", c.admin, append(identity, "--id", name, "--region", region,
		"--zone", zone, "--cluster", c.kube.Name(), "--kubeconfig", kubeconfig, "--admin-address", c.admin, "--zone-addresses", address)...)
	c.whole.Cleanup(c.stop)
	must(t, err)
}

// stop kills the agent.
func (c *cluster) stop() {
	if c.agent != nil {
		_ = c.agent.Stop(context.Background(), 0)
	}
}

// served is nil while the agent has a session with the zone.
func (c *cluster) served(ctx context.Context) error {
	n, err := c.programs.metric(ctx, c.admin, agentSessions)
	if err == nil && n != 1 {
		err = fmt.Errorf("it has %v sessions", n)
	}
	return err
}

// objects are the versions of Meridian's objects.
func (c *cluster) objects(ctx context.Context) (map[string]string, error) {
	client, err := metadata.NewForConfig(c.kube.RESTConfig())
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, kind := range object.Kinds() {
		list, err := client.Resource(kind.GVR()).List(ctx, managed)
		if err != nil {
			return nil, fmt.Errorf("listing %s in %s: %w", kind.Resource, c.kube.Name(), err)
		}
		for _, o := range list.Items {
			out[o.Annotations[object.AnnotationSelf]] = o.Annotations[object.AnnotationVersion]
		}
	}
	return out, nil
}

// audit compares the agent's writes with the changes that they made: one more would be a write of what was there.
func (c *cluster) audit(t *testing.T) {
	t.Helper()
	audited, err := c.kube.AuditWrites(localkube.AgentUser)
	must(t, err)
	wrote, refused := map[string]int{}, map[string]int{}
	for _, w := range audited.Without("leases") {
		if w.Code < 400 {
			wrote[w.Resource+" "+w.Name]++
		} else {
			refused[fmt.Sprintf("%s %s %s: %d", w.Verb, w.Resource, w.Name, w.Code)]++
		}
	}
	_, times := c.writes()
	changed := map[string]int{}
	for key, n := range times {
		id, err := object.ParseID(key)
		must(t, err)
		for _, kind := range object.Kinds() {
			if kind.GroupVersionKind == id.GVK() {
				changed[kind.Resource+" "+id.Name] = n
			}
		}
	}
	for what, n := range wrote {
		if n != changed[what] {
			t.Errorf("%s: the agent wrote %s %d times, and it changed %d times", c.kube.Name(), what, n, changed[what])
		}
	}
	if len(refused) > 0 {
		t.Errorf("%s: the agent made writes that were refused: %v", c.kube.Name(), refused)
	}
}

// managed selects Meridian's objects.
var managed = metav1.ListOptions{LabelSelector: object.LabelManaged + "=" + object.ManagedValue}

// watch witnesses what happens from now on until ctx ends. begun is called when every watch is under way.
func (c *cluster) watch(ctx context.Context, begun func()) error {
	meta, err := metadata.NewForConfig(c.kube.RESTConfig())
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(c.kube.RESTConfig())
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, kind := range object.Kinds() {
		list, err := meta.Resource(kind.GVR()).List(ctx, managed)
		if err != nil {
			return fmt.Errorf("listing %s: %w", kind.Resource, err)
		}
		options := managed
		options.ResourceVersion = list.ResourceVersion
		w, err := meta.Resource(kind.GVR()).Watch(ctx, options)
		if err != nil {
			return fmt.Errorf("watching %s: %w", kind.Resource, err)
		}
		g.Go(func() error { return follow(ctx, w, c.changed) })
	}
	leases := client.CoordinationV1().Leases("meridian-system")
	list, err := leases.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	w, err := leases.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return err
	}
	g.Go(func() error { return follow(ctx, w, c.leased) })
	begun()
	return g.Wait()
}

// follow passes on a watch's events until ctx ends.
func follow(ctx context.Context, w watch.Interface, take func(watch.Event) error) error {
	defer w.Stop()
	for {
		select {
		case e, ok := <-w.ResultChan():
			if ctx.Err() != nil {
				return nil
			}
			if !ok || e.Type == watch.Error {
				return fmt.Errorf("a watch ended: %v", e.Object)
			}
			if err := take(e); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// changed takes in what happened to an object.
func (c *cluster) changed(e watch.Event) error {
	o := e.Object.(*metav1.PartialObjectMetadata)
	key := o.Annotations[object.AnnotationSelf]
	if e.Type == watch.Deleted {
		c.removed(key)
	} else {
		c.put(key, o.Annotations[object.AnnotationVersion])
	}
	return nil
}

// leased takes in what happened to the agent's Lease.
func (c *cluster) leased(e watch.Event) error {
	text := e.Object.(*coordinationv1.Lease).Annotations["meridian.dev/fence"]
	if text == "" {
		return nil
	}
	var f feed.Fence
	if _, err := fmt.Sscanf(text, "%x/%d", &f.Epoch, &f.Fence); err != nil {
		return fmt.Errorf("the Lease has the fence %q: %w", text, err)
	}
	c.obeyed(f)
	return nil
}

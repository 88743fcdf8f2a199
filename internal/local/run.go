package local

import (
	"context"
	"fmt"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/process"
)

// Run is what Up started in a folder, for those who end and start parts of it one by one.
type Run struct {
	l layout
	t Topology
	o Options
}

// Open finds the run in o.Dir, which keeps its topology. Root is the checkout whose programs it runs.
func Open(o Options) (*Run, error) {
	l, err := o.layout()
	if err != nil {
		return nil, err
	}
	t, err := readTopology(l.topology())
	if err != nil {
		return nil, err
	}
	o.Nodes = t.Nodes
	return &Run{l: l, t: t, o: o}, nil
}

// Topology is what runs where.
func (r *Run) Topology() Topology { return r.t }

// HubAddress is where Global answers questions.
func (r *Run) HubAddress() string { return config.Loopback(r.t.Global.Listen) }

// HubRoots is the file of the roots by which Global is known.
func (r *Run) HubRoots() string { return r.l.roots() }

// Listen is where a process of a tier serves its children.
func (r *Run) Listen(name string) string {
	for _, tier := range r.t.tiers(r.l) {
		if tier.name == name && len(tier.ports) > 0 {
			return config.Loopback(tier.ports[0])
		}
	}
	return ""
}

// Admin is where a process of Meridian's shows its health and metrics; "" if there is none of the name.
func (r *Run) Admin(name string) string {
	for _, tier := range r.t.tiers(r.l) {
		if tier.name == name {
			return config.Loopback(tier.admin)
		}
	}
	return ""
}

// Kubeconfig is an administrator's for a cluster, or for the hub by the name global.
func (r *Run) Kubeconfig(name string) string { return r.l.kubeconfig(name) }

// Logs is the folder with the log of each process, NAME.log.
func (r *Run) Logs() string { return r.l.logs() }

// Data is the folder in which a process keeps its records, or a cluster (kube-NAME) all that it has.
func (r *Run) Data(name string) string { return r.l.data(name) }

// Processes names Meridian's processes, from the top down: global, region-REGION, zone-ZONE, agent-CLUSTER, then the API
// servers, NAME-apiserver. A zone of several replicas is etcd-ZONE, zone-ZONE-0, zone-ZONE-1 and so on. The clusters'
// controllers, schedulers and simulated nodes are not among them.
func (r *Run) Processes() []string {
	var out []string
	for _, tier := range r.t.tiers(r.l) {
		out = append(out, tier.name)
	}
	for _, kube := range r.t.kubes() {
		out = append(out, apiServerName(kube.Name))
	}
	return out
}

// Process finds a process that runs, by its name.
func (r *Run) Process(name string) (*process.Process, bool) {
	return process.Find(process.Spec{Name: name, Log: r.l.log(name), PidFile: r.l.pid(name)})
}

// Start starts a process of Meridian's unless it runs, and waits until it is ready.
func (r *Run) Start(ctx context.Context, name string) error {
	for _, tier := range r.t.tiers(r.l) {
		if tier.name == name {
			return tier.start(ctx)
		}
	}
	return fmt.Errorf("there is no process %s; there are %v", name, r.Processes())
}

// Kube starts what does not run of a cluster, or of the hub by the name global, and waits until it is ready.
func (r *Run) Kube(ctx context.Context, name string) (*localkube.Cluster, error) {
	if name == hubName {
		return startHub(ctx, r.l, r.t, r.o)
	}
	for _, c := range r.t.clusters() {
		if c.Name == name {
			return startCluster(ctx, r.l, c, r.o)
		}
	}
	return nil, fmt.Errorf("there is no cluster %s", name)
}

// apiServerName is that of the process of an API server.
func apiServerName(kube string) string { return kube + "-" + localkube.APIServer }

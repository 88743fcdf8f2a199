package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/certfile"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/process"
	"github.com/meridian-federation/meridian/internal/question"
)

// tier is one process of Meridian's.
type tier struct {
	name  string
	admin int
	// keys are what it asks for where it says that it is ready; it says so in plain text to who is on this host otherwise.
	keys certfile.Files
	// ports that it listens at.
	ports []int
	// place is the one that it enrols as, if it does.
	place  question.Path
	enrols bool
	spec   process.Spec
}

// names of processes.
func globalName() string              { return "global" }
func regionName(region string) string { return "region-" + region }
func etcdName(zone string) string     { return "etcd-" + zone }
func agentName(cluster string) string { return "agent-" + cluster }

// replicaName is ZONE's own where it has one replica only, as its data folder is.
func replicaName(z Zone, i int) string {
	if len(z.Replicas) == 1 {
		return "zone-" + z.Name
	}
	return fmt.Sprintf("zone-%s-%d", z.Name, i)
}

// tiers lists Meridian's processes from the top down, each zone's etcd before its replicas.
func (t Topology) tiers(l layout) []tier {
	out := []tier{l.tier(globalName(), "meridian-global", t.Global, question.Path{},
		"--id", "global-0", "--kubeconfig", l.kubeconfig(globalUser), "--etcd-data-dir", l.data(globalName()))}
	for _, r := range t.Regions {
		out = append(out, l.tier(regionName(r.Name), "meridian-region", r.Ports, question.Path{Region: r.Name},
			"--id", "region-"+r.Name+"-0", "--region", r.Name, "--global", config.Loopback(t.Global.Listen),
			"--etcd-data-dir", l.data(regionName(r.Name))))
		for _, z := range r.Zones {
			out = append(out, l.zone(r, z)...)
			for i, c := range z.Clusters {
				out = append(out, l.agent(r.Name, z, c, z.Replicas[i%len(z.Replicas)]))
			}
		}
	}
	return out
}

// zone describes a zone's replicas. Several share an etcd, a process of its own, and find each other by gossip.
func (l layout) zone(r Region, z Zone) []tier {
	var out []tier
	args := []string{"--region", r.Name, "--zone", z.Name, "--parent", config.Loopback(r.Ports.Listen)}
	if len(z.Replicas) > 1 {
		out = append(out, l.etcd(z))
		keys := l.etcdKeys(z)
		args = append(args, "--etcd-endpoints", "https://"+config.Loopback(z.Etcd), "--etcd-ca-file", keys.CA,
			"--etcd-cert-file", keys.Cert, "--etcd-key-file", keys.Key, "--gossip-key-file", l.gossipKey())
		for _, replica := range z.Replicas {
			args = append(args, "--gossip-join", config.Loopback(replica.Gossip))
		}
	}
	for i, replica := range z.Replicas {
		name := replicaName(z, i)
		own := append(slices.Clone(args), "--id", fmt.Sprintf("zone-%s-%d", z.Name, i))
		if len(z.Replicas) > 1 {
			own = append(own, "--gossip-bind", config.Loopback(replica.Gossip))
		} else {
			own = append(own, "--etcd-data-dir", l.data(name))
		}
		own = append(own, "--authorization-address", config.Loopback(replica.Authorization))
		t := l.tier(name, "meridian-zone", replica.Ports, question.Path{Region: r.Name, Zone: z.Name}, own...)
		t.ports = append(t.ports, replica.Authorization)
		if replica.Gossip != 0 {
			t.ports = append(t.ports, replica.Gossip)
		}
		out = append(out, t)
	}
	return out
}

// etcd describes the store that the replicas of a zone share. It answers whether it is ready where it serves.
func (l layout) etcd(z Zone) tier {
	name, keys := etcdName(z.Name), l.etcdKeys(z)
	return tier{name: name, admin: z.Etcd, keys: keys, ports: []int{z.Etcd}, spec: l.spec(name, "localkube", []string{"etcd",
		"--etcd-data-dir", l.data(name), "--etcd-listen", config.Loopback(z.Etcd), "--etcd-fsync",
		"--etcd-cert-file", keys.Cert, "--etcd-key-file", keys.Key, "--etcd-trusted-ca-file", keys.CA})}
}

// tier describes the process of a tier that listens. Global makes the root of all identities; the others enrol.
func (l layout) tier(name, program string, p Ports, place question.Path, args ...string) tier {
	args = append(args, "--listen", config.Loopback(p.Listen), "--admin-address", config.Loopback(p.Admin), "--identity-dir", l.identity(name))
	return tier{name: name, admin: p.Admin, ports: []int{p.Listen, p.Admin}, place: place, enrols: place.Tier() != question.TierGlobal,
		spec: l.spec(name, program, args)}
}

// agent describes an agent. It is told of one replica and learns of the others from that.
func (l layout) agent(region string, z Zone, c Cluster, first Replica) tier {
	name := agentName(c.Name)
	return tier{name: name, admin: c.Admin, ports: []int{c.Admin}, enrols: true,
		place: question.Path{Region: region, Zone: z.Name, Cluster: c.Name}, spec: l.spec(name, "meridian-agent", []string{
			"--region", region, "--zone", z.Name, "--cluster", c.Name, "--id", name,
			"--zone-addresses", config.Loopback(first.Listen), "--kubeconfig", l.kubeconfig(name),
			"--admin-address", config.Loopback(c.Admin), "--identity-dir", l.identity(name)})}
}

func (l layout) spec(name, program string, args []string) process.Spec {
	return process.Spec{Name: name, Path: l.program(program), Args: args, Log: l.log(name), PidFile: l.pid(name), Detached: true}
}

// start starts the process unless it runs, and waits until it is ready. A crash is reported with its log.
func (t tier) start(ctx context.Context) error {
	p, err := process.Start(t.spec)
	if errors.Is(err, process.ErrRunning) {
		running, ok := process.Find(t.spec)
		if !ok {
			return fmt.Errorf("starting %s: %w", t.name, err)
		}
		p = running
	} else if err != nil {
		return fmt.Errorf("starting %s: %w", t.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client, url, err := t.readiness()
	if err != nil {
		return fmt.Errorf("starting %s: %w", t.name, err)
	}
	return p.AwaitReady(ctx, Ready(client, url))
}

// readiness is where, and with what, the process is asked whether it is ready.
func (t tier) readiness() (*http.Client, string, error) {
	address := config.Loopback(t.admin) + "/readyz"
	if t.keys == (certfile.Files{}) {
		return http.DefaultClient, "http://" + address, nil
	}
	source, err := certfile.Open(t.keys, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, "", err
	}
	transport := &http.Transport{TLSClientConfig: source.Client(), DisableKeepAlives: true}
	return &http.Client{Transport: transport}, "https://" + address, nil
}

// Ready asks a process whether it is ready, at the URL of what it answers by; nil says that it is.
func Ready(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", request.URL, response.Status)
		}
		return nil
	}
}

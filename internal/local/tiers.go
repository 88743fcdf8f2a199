package local

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/process"
)

// tier is one process of Meridian's.
type tier struct {
	name  string
	admin int
	// ports that it listens at.
	ports []int
	spec  process.Spec
}

// names of processes.
func globalName() string              { return "global" }
func regionName(region string) string { return "region-" + region }
func zoneName(zone string) string     { return "zone-" + zone }
func agentName(cluster string) string { return "agent-" + cluster }

// tiers lists Meridian's processes from the top down.
func (t Topology) tiers(l layout) []tier {
	out := []tier{l.tier(globalName(), "meridian-global", t.Global,
		"--id", "global-0", "--kubeconfig", l.kubeconfig("global"))}
	for _, r := range t.Regions {
		out = append(out, l.tier(regionName(r.Name), "meridian-region", r.Ports,
			"--id", "region-"+r.Name+"-0", "--region", r.Name, "--global", config.Loopback(t.Global.Listen)))
		for _, z := range r.Zones {
			out = append(out, l.tier(zoneName(z.Name), "meridian-zone", z.Ports,
				"--id", "zone-"+z.Name+"-0", "--region", r.Name, "--zone", z.Name, "--parent", config.Loopback(r.Ports.Listen)))
			for _, c := range z.Clusters {
				out = append(out, l.agent(r.Name, z, c))
			}
		}
	}
	return out
}

// tier describes the process of a tier that keeps records and listens.
func (l layout) tier(name, program string, p Ports, args ...string) tier {
	args = append(args, "--listen", config.Loopback(p.Listen), "--admin-address", config.Loopback(p.Admin),
		"--etcd-data-dir", l.data(name))
	return tier{name: name, admin: p.Admin, ports: []int{p.Listen, p.Admin}, spec: l.spec(name, program, args)}
}

func (l layout) agent(region string, z Zone, c Cluster) tier {
	name := agentName(c.Name)
	return tier{name: name, admin: c.Admin, ports: []int{c.Admin}, spec: l.spec(name, "meridian-agent", []string{
		"--region", region, "--zone", z.Name, "--cluster", c.Name, "--id", name,
		"--zone-addresses", config.Loopback(z.Ports.Listen), "--kubeconfig", l.kubeconfig(name),
		"--admin-address", config.Loopback(c.Admin)})}
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
	return p.AwaitReady(ctx, Ready(config.Loopback(t.admin)))
}

// Ready asks the process of Meridian's whose admin server is at address whether it is ready; nil says that it is.
func Ready(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
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

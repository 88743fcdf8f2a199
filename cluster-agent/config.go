package clusteragent

import (
	"errors"
	"fmt"
	"os"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/question"
)

// Config is the agent's configuration. Its zero value, with Default, lacks only the names of region, zone and cluster.
type Config struct {
	Region  string `usage:"name of the region"`
	Zone    string `usage:"name of the zone"`
	Cluster string `usage:"name of this cluster"`
	// ID is this process's among the agents of its cluster. An agent that comes back under its own id takes its Lease
	// at once.
	ID            string   `usage:"name of this agent among the cluster's; by default the cluster's and the host's"`
	ZoneAddresses []string `usage:"addresses of the zone's replicas; any will do"`
	Kubeconfig    string   `usage:"kubeconfig of the cluster; by default the service account of the pod"`
	Workers       int      `usage:"objects that are written at the same time"`
	Identity      config.Identity
	Admin         config.Admin
	Log           config.Log
}

// defaultWorkers keeps an API server busy without taking it over: its default limit is 600 requests at a time.
const defaultWorkers = 16

// Default fills in zero fields.
func (c *Config) Default() {
	if c.ID == "" && c.Cluster != "" {
		host, err := os.Hostname()
		if err != nil {
			host = "agent"
		}
		c.ID = c.Cluster + "@" + host
	}
	if len(c.ZoneAddresses) == 0 {
		c.ZoneAddresses = []string{config.Loopback(config.ZonePort)}
	}
	if c.Workers == 0 {
		c.Workers = defaultWorkers
	}
	if c.Admin.Address == "" {
		c.Admin.Address = config.Loopback(config.AgentAdminPort)
	}
	c.Admin.Default()
	c.Identity.Default()
	c.Log.Default()
}

// Validate joins all errors.
func (c *Config) Validate() error {
	errs := []error{
		config.Required("region", c.Region),
		config.Required("zone", c.Zone),
		config.Required("cluster", c.Cluster),
		config.Prefix("identity", c.Identity.Validate()),
		config.Prefix("admin", c.Admin.Validate()),
		config.Prefix("log", c.Log.Validate()),
	}
	for _, address := range c.ZoneAddresses {
		errs = append(errs, config.Address("zoneAddresses", address))
	}
	if c.Workers < 0 {
		errs = append(errs, fmt.Errorf("workers: %d is negative", c.Workers))
	}
	return errors.Join(errs...)
}

// path is the agent's place in the hierarchy, zone its parent's.
func (c *Config) path() question.Path {
	return question.Path{Region: c.Region, Zone: c.Zone, Cluster: c.Cluster}
}

func (c *Config) zone() question.Path { return question.Path{Region: c.Region, Zone: c.Zone} }

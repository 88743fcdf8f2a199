package region

import (
	"errors"
	"os"
	"time"

	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/ipam/ipamgrpc"
)

// Config is a region's configuration. Its zero value, with Default, lacks only the region's name.
type Config struct {
	ID       string        `usage:"name of this replica, unique among the region's replicas"`
	Region   string        `usage:"name of the region"`
	Global   []string      `usage:"addresses of Global's replicas; any will do"`
	Listen   string        `usage:"address at which the zones connect"`
	Settle   time.Duration `usage:"how long after its start the region waits for zones before it reports without them; and how long a zone may be away before its clusters count as stale to callers elsewhere"`
	Identity config.Identity
	// Children bounds what each child may tell.
	Children children.Limits
	// IPAM bounds how many addresses each child may take for machines of its own.
	IPAM  ipamgrpc.Limits
	Etcd  config.Etcd
	Admin config.Admin
	Audit config.Audit
	Log   config.Log
}

// defaultSettle is longer than a reconnecting zone pauses.
const defaultSettle = 10 * time.Second

// Default fills in zero fields. The ID is the host's name: a replica that restarts on its host takes its own leadership
// back at once.
func (c *Config) Default() {
	if c.ID == "" {
		c.ID, _ = os.Hostname()
	}
	if len(c.Global) == 0 {
		c.Global = []string{config.Loopback(config.GlobalPort)}
	}
	if c.Listen == "" {
		c.Listen = config.Loopback(config.RegionPort)
	}
	if c.Settle == 0 {
		c.Settle = defaultSettle
	}
	if c.Etcd.DataDir == "" {
		c.Etcd.DataDir = "data/region"
	}
	c.Children.DefaultTier()
	c.IPAM.Default()
	c.Etcd.Default()
	if c.Admin.Address == "" {
		c.Admin.Address = config.Loopback(config.RegionAdminPort)
	}
	c.Admin.Default()
	c.Identity.Default()
	c.Audit.Default()
	c.Log.Default()
}

// Validate joins all errors.
func (c *Config) Validate() error {
	errs := []error{
		config.Required("id", c.ID),
		config.Required("region", c.Region),
		config.Address("listen", c.Listen),
		config.Prefix("children", c.Children.Validate()),
		config.Prefix("ipam", c.IPAM.Validate()),
		config.Prefix("etcd", c.Etcd.Validate()),
		config.Prefix("identity", c.Identity.Validate()),
		config.Prefix("admin", c.Admin.Validate()),
		config.Prefix("audit", c.Audit.Validate()),
		config.Prefix("log", c.Log.Validate()),
	}
	for _, address := range c.Global {
		errs = append(errs, config.Address("global", address))
	}
	return errors.Join(errs...)
}

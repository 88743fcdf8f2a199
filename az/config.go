package az

import (
	"errors"
	"os"
	"time"

	"github.com/meridian-federation/meridian/internal/config"
)

// Config is a zone's configuration. Its zero value, with Default, lacks only the names of region and zone.
type Config struct {
	ID     string        `usage:"name of this replica, unique among the zone's replicas"`
	Region string        `usage:"name of the region"`
	Zone   string        `usage:"name of the zone"`
	Parent []string      `usage:"addresses of the region's replicas; any will do"`
	Listen string        `usage:"address at which the agents connect"`
	Settle time.Duration `usage:"how long after its start the zone waits for agents before it reports what it does not know of them"`
	Etcd   config.Etcd
	Admin  config.Admin
	Log    config.Log
}

// defaultSettle is longer than a reconnecting agent pauses.
const defaultSettle = 10 * time.Second

// Default fills in zero fields. The ID is the host's name: a replica that restarts on its host takes its own leadership
// back at once.
func (c *Config) Default() {
	if c.ID == "" {
		c.ID, _ = os.Hostname()
	}
	if len(c.Parent) == 0 {
		c.Parent = []string{config.Loopback(config.RegionPort)}
	}
	if c.Listen == "" {
		c.Listen = config.Loopback(config.ZonePort)
	}
	if c.Settle == 0 {
		c.Settle = defaultSettle
	}
	if c.Etcd.Prefix == "" && c.Zone != "" {
		c.Etcd.Prefix = "/meridian/zone/" + c.Zone
	}
	if c.Etcd.DataDir == "" {
		c.Etcd.DataDir = "data/zone"
	}
	c.Etcd.Default()
	if c.Admin.Address == "" {
		c.Admin.Address = config.Loopback(config.ZoneAdminPort)
	}
	c.Admin.Default()
	c.Log.Default()
}

// Validate joins all errors.
func (c *Config) Validate() error {
	errs := []error{
		config.Required("id", c.ID),
		config.Required("region", c.Region),
		config.Required("zone", c.Zone),
		config.Address("listen", c.Listen),
		config.Prefix("etcd", c.Etcd.Validate()),
		config.Prefix("admin", c.Admin.Validate()),
		config.Prefix("log", c.Log.Validate()),
	}
	for _, address := range c.Parent {
		errs = append(errs, config.Address("parent", address))
	}
	return errors.Join(errs...)
}

package global

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/ipam/ipamgrpc"
)

// Config is Global's configuration.
type Config struct {
	ID         string `usage:"name of this replica, unique among Global's replicas"`
	Listen     string `usage:"address at which regions and the CLI connect"`
	Advertise  string `usage:"address that the CLI is told to use; the address listened at by default"`
	Kubeconfig string `usage:"kubeconfig of the API server that holds the resources; in-cluster credentials by default"`
	// AudienceDelay holds back changes that only tidy up: each costs every proxy that sees the application a full push.
	AudienceDelay time.Duration `usage:"how long after an application's last consumer in a namespace, zone or network is gone it is still made visible there, unless something else changes that earlier; 30s by default"`
	Identity      config.Identity
	// Children bounds what each child may tell.
	Children children.Limits
	// IPAM bounds how many addresses each child may take for machines of its own.
	IPAM  ipamgrpc.Limits
	Etcd  config.Etcd
	Admin config.Admin
	Audit config.Audit
	Log   config.Log
}

// Default fills in zero fields. The ID is the host's name: a replica that restarts on its host takes its own leadership
// back at once.
func (c *Config) Default() {
	if c.ID == "" {
		c.ID, _ = os.Hostname()
	}
	if c.Listen == "" {
		c.Listen = config.Loopback(config.GlobalPort)
	}
	if c.AudienceDelay == 0 {
		c.AudienceDelay = 30 * time.Second
	}
	if c.Etcd.Prefix == "" {
		c.Etcd.Prefix = "/meridian/global"
	}
	if c.Etcd.DataDir == "" {
		c.Etcd.DataDir = "data/global"
	}
	c.Children.DefaultTier()
	c.IPAM.Default()
	c.Etcd.Default()
	if c.Admin.Address == "" {
		c.Admin.Address = config.Loopback(config.GlobalAdminPort)
	}
	c.Admin.Default()
	c.Identity.Default()
	c.Audit.Default()
	c.Log.Default()
}

// Validate joins all errors.
func (c *Config) Validate() error {
	var negative error
	if c.AudienceDelay < 0 {
		negative = fmt.Errorf("audiencedelay: %s is less than nothing", c.AudienceDelay)
	}
	return errors.Join(
		negative,
		config.Required("id", c.ID),
		config.Address("listen", c.Listen),
		config.Address("advertise", c.advertised()),
		config.Prefix("children", c.Children.Validate()),
		config.Prefix("ipam", c.IPAM.Validate()),
		config.Prefix("etcd", c.Etcd.Validate()),
		config.Prefix("identity", c.Identity.Validate()),
		config.Prefix("admin", c.Admin.Validate()),
		config.Prefix("audit", c.Audit.Validate()),
		config.Prefix("log", c.Log.Validate()),
	)
}

// advertised is the address that the CLI is told.
func (c *Config) advertised() string { return cmp.Or(c.Advertise, c.Listen) }

package localkube

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Config describes a cluster. Its zero value but for Dir and BinDir is a whole
// control plane without nodes.
type Config struct {
	// Name names the cluster in kubeconfigs, processes, nodes and messages.
	Name string
	// BinDir is where Build put the programs.
	BinDir string
	// Dir keeps the cluster: certificates, tokens, port, database.
	Dir string
	// LogDir, PidDir and Kubeconfig default to places inside Dir. Several clusters
	// may share the two folders: a file is called NAME-COMPONENT.
	LogDir, PidDir string
	Kubeconfig     string

	// APIOnly leaves out controllers, scheduler and nodes. Nothing then finishes
	// the deletion of a namespace or collects garbage.
	APIOnly bool
	// NoWorkloads runs, beside the API server, only the controllers that finish
	// deletions, of namespaces and what is owned, and that sum up aggregated
	// ClusterRoles. For a server that holds resources and runs no pods.
	NoWorkloads bool
	// Nodes is the number of simulated nodes.
	Nodes int
	// Fsync makes etcd sync every commit to disk, as a cluster in production does.
	Fsync bool
	// Port of the API server; 0 takes the one this cluster had before, or any free.
	Port int
	// EtcdPort of the embedded etcd; 0 takes any free one on each start.
	EtcdPort int
	// Users may log in beside the administrator; nil means DefaultUsers.
	Users []User
	// ClientCA is an authority, PEM, by whose client certificates people log in too;
	// nil means by none.
	ClientCA []byte
	// AuditLog records every write for AuditWrites.
	AuditLog bool
	// AuditPolicy, of audit.k8s.io/v1, says what is recorded where AuditLog is off; nil is nothing.
	AuditPolicy []byte
	// Detached lets the processes outlive this program.
	Detached bool

	// PodCIDR and ServiceCIDR are the address ranges, IPv4.
	PodCIDR, ServiceCIDR string
}

// User logs in by a bearer token and has no rights but those that RBAC gives to
// it or its groups.
type User struct {
	Name string
	// Token is made up, and kept for later starts, when empty.
	Token  string
	Groups []string
}

// Names that every cluster knows.
const (
	// AdminUser may do anything.
	AdminUser = "admin"
	// AgentUser is for a cluster agent, whose rights its own manifests grant.
	AgentUser = "meridian-agent"
	// AgentGroup has AgentUser as its member.
	AgentGroup = "meridian:agents"

	mastersGroup = "system:masters"
)

// DefaultUsers are the users of a cluster whose Config names none.
func DefaultUsers() []User {
	return []User{{Name: AgentUser, Groups: []string{AgentGroup}}}
}

// Users that the cluster's own components log in as. They are masters because
// the controllers share one account here.
const (
	controllerManagerUser = "system:kube-controller-manager"
	schedulerUser         = "system:kube-scheduler"
	kwokUser              = "system:kwok"
)

// users lists everyone who can log in.
func (c Config) users() []User {
	masters := []string{mastersGroup}
	all := []User{{Name: AdminUser, Groups: masters}}
	if !c.APIOnly {
		all = append(all,
			User{Name: controllerManagerUser, Groups: masters},
			User{Name: schedulerUser, Groups: masters},
			User{Name: kwokUser, Groups: masters},
		)
	}
	return append(all, c.Users...)
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "local"
	}
	if c.LogDir == "" {
		c.LogDir = filepath.Join(c.Dir, "logs")
	}
	if c.PidDir == "" {
		c.PidDir = filepath.Join(c.Dir, "pids")
	}
	if c.Kubeconfig == "" {
		c.Kubeconfig = filepath.Join(c.Dir, "kubeconfig.yaml")
	}
	if c.Users == nil {
		c.Users = DefaultUsers()
	}
	if c.PodCIDR == "" {
		c.PodCIDR = "10.128.0.0/16"
	}
	if c.ServiceCIDR == "" {
		c.ServiceCIDR = "10.96.0.0/16"
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("no folder given"))
	}
	if c.BinDir == "" {
		errs = append(errs, errors.New("no folder of programs given"))
	}
	if (c.APIOnly || c.NoWorkloads) && c.Nodes > 0 {
		errs = append(errs, fmt.Errorf("%d nodes wanted of an API server alone", c.Nodes))
	}
	if c.Nodes < 0 {
		errs = append(errs, fmt.Errorf("%d nodes", c.Nodes))
	}
	return errors.Join(errs...)
}

func (c Config) file(name string) string { return filepath.Join(c.Dir, name) }

package localkube

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/meridian-federation/meridian/internal/process"
)

// Components of a cluster, each a process.
const (
	APIServer         = "apiserver"
	ControllerManager = "controller-manager"
	Scheduler         = "scheduler"
	Kwok              = "kwok"
)

// controllers that a cluster of simulated nodes has a use for. Node lifecycle is
// not among them: the nodes stay Ready without heartbeats, which keeps an idle
// cluster idle.
var controllers = []string{
	"clusterrole-aggregation-controller",
	"cronjob-controller",
	"daemonset-controller",
	"deployment-controller",
	"disruption-controller",
	"endpointslice-controller",
	"garbage-collector-controller",
	"horizontal-pod-autoscaler-controller",
	"job-controller",
	"namespace-controller",
	"pod-garbage-collector-controller",
	"replicaset-controller",
	"root-ca-certificate-publisher-controller",
	"serviceaccount-controller",
	"statefulset-controller",
}

// spec is the process of a component of c.
func (c *Cluster) spec(component string) process.Spec {
	name := c.cfg.Name + "-" + component
	s := process.Spec{
		Name:     name,
		Path:     filepath.Join(c.cfg.BinDir, "localkube"),
		Log:      filepath.Join(c.cfg.LogDir, name+".log"),
		PidFile:  filepath.Join(c.cfg.PidDir, name+".pid"),
		Detached: c.cfg.Detached,
	}
	switch component {
	case APIServer:
		s.Args = append([]string{APIServer}, c.apiServerArgs()...)
	case ControllerManager:
		s.Args = append([]string{ControllerManager}, c.controllerManagerArgs()...)
	case Scheduler:
		s.Args = append([]string{Scheduler}, c.schedulerArgs()...)
	case Kwok:
		s.Path = filepath.Join(c.cfg.BinDir, "kwok")
		s.Args = c.kwokArgs()
	}
	return s
}

func (c *Cluster) apiServerArgs() []string {
	// Without a node lifecycle controller nobody would take this taint off again.
	disabled := []string{"TaintNodesByCondition"}
	if c.cfg.APIOnly || c.cfg.NoWorkloads {
		// Nobody makes the accounts that pods would be refused without.
		disabled = append(disabled, "ServiceAccount")
	}
	args := []string{
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", c.state.Port),
		"--etcd-data-dir=" + c.cfg.file("etcd"),
		fmt.Sprintf("--etcd-listen=127.0.0.1:%d", c.cfg.EtcdPort),
		fmt.Sprintf("--etcd-fsync=%t", c.cfg.Fsync),
		"--tls-cert-file=" + c.cfg.file(servingCert),
		"--tls-private-key-file=" + c.cfg.file(servingKey),
		"--token-auth-file=" + c.cfg.file("tokens.csv"),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + c.cfg.file(serviceAcctKey),
		"--service-account-key-file=" + c.cfg.file(serviceAcctKey),
		"--service-cluster-ip-range=" + c.cfg.ServiceCIDR,
		"--endpoint-reconciler-type=none",
		"--disable-admission-plugins=" + strings.Join(disabled, ","),
		"--allow-privileged=true",
		// A single server that nobody competes for: no fair queueing to configure
		// at start and run beside each request, no lease to renew while idle.
		"--enable-priority-and-fairness=false",
		"--max-requests-inflight=2000",
		"--max-mutating-requests-inflight=1000",
		"--feature-gates=APIServerIdentity=false,UnknownVersionInteroperabilityProxy=false",
	}
	if c.cfg.ClientCA != nil {
		args = append(args, "--client-ca-file="+c.cfg.file(clientCAFile))
	}
	return append(args, c.cfg.auditArgs()...)
}

// components are what runs beside the API server, in the order of starting.
func (c Config) components() []string {
	switch {
	case c.APIOnly:
		return nil
	case c.NoWorkloads:
		return []string{ControllerManager}
	default:
		return []string{ControllerManager, Kwok, Scheduler}
	}
}

func (c *Cluster) controllerManagerArgs() []string {
	run := controllers
	if c.cfg.NoWorkloads {
		run = []string{"clusterrole-aggregation-controller", "garbage-collector-controller", "namespace-controller"}
	}
	return []string{
		"--kubeconfig=" + c.componentKubeconfig(ControllerManager),
		"--leader-elect=false",
		"--secure-port=0",
		"--root-ca-file=" + c.cfg.file(caFile),
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--controllers=" + strings.Join(run, ","),
	}
}

func (c *Cluster) schedulerArgs() []string {
	return []string{
		"--kubeconfig=" + c.componentKubeconfig(Scheduler),
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	}
}

func (c *Cluster) kwokArgs() []string {
	return []string{
		"--kubeconfig=" + c.componentKubeconfig(Kwok),
		"--manage-all-nodes=true",
		"--node-lease-duration-seconds=0",
		"--cidr=" + c.cfg.PodCIDR,
	}
}

func (c *Cluster) componentKubeconfig(component string) string {
	return c.cfg.file(component + ".kubeconfig.yaml")
}

// writeKubeconfigs writes the administrator's and the components'.
func (c *Cluster) writeKubeconfigs() error {
	if err := c.WriteKubeconfig(AdminUser, c.cfg.Kubeconfig); err != nil {
		return err
	}
	if c.cfg.APIOnly {
		return nil
	}
	for component, user := range map[string]string{
		ControllerManager: controllerManagerUser,
		Scheduler:         schedulerUser,
		Kwok:              kwokUser,
	} {
		if err := c.WriteKubeconfig(user, c.componentKubeconfig(component)); err != nil {
			return err
		}
	}
	return nil
}

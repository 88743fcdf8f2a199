// Command localkube is a real Kubernetes control plane in one binary, for
// machines with no container runtime: kube-apiserver with etcd embedded in the
// same process, kube-controller-manager and kube-scheduler. An etcd alone can be had
// too.
//
// Each subcommand is the upstream component with its own flags and runs as a
// process of its own, because the components set up logging and signals for the
// whole process and clash when they share one.
package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // for the time zones of CronJobs

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

const usage = `localkube runs one component of a Kubernetes control plane.

Usage:
  localkube apiserver [flags]            kube-apiserver with etcd embedded
  localkube controller-manager [flags]   kube-controller-manager
  localkube scheduler [flags]            kube-scheduler
  localkube etcd [flags]                 etcd alone, of one member

Each takes the flags of the component itself; --help lists them.
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	component := os.Args[1]
	// The components parse os.Args, and each wants to be the root command.
	os.Args = append([]string{"localkube " + component}, os.Args[2:]...)
	switch component {
	case "apiserver":
		os.Exit(runAPIServer())
	case "controller-manager":
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	case "scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "etcd":
		os.Exit(runEtcd())
	case "help", "-h", "--help":
		fmt.Print(usage)
	default:
		fmt.Fprintf(os.Stderr, "localkube: unknown component %q\n\n%s", component, usage)
		os.Exit(2)
	}
}
